package store

import (
	"testing"

	"github.com/terradue/t2-cred/store/backend"
	"github.com/terradue/t2-cred/store/backend/backendtest"
)

func TestBackend_conforms(t *testing.T) {
	eachBackend(t, func(t *testing.T, o Options) {
		name := o.Backend
		backendtest.Run(t, func(t *testing.T) backend.Backend { return open(t, optionsFor[name](t)).backend })
	})
}
