package openbao

import (
	"context"

	"github.com/terradue/t2-cred/store/backend"
)

// Probe implements backend.Sharer.
func (s *Store) Probe(context.Context) []backend.Finding { return nil }
