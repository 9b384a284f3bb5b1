package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func (a *app) claimsCommand() *cobra.Command {
	return &cobra.Command{
		Use: "claims", Short: "Show the access token's claims, verified against the issuer's keys", Args: noArgs,
		Long: `Verify the access token (signature by the issuer's JWKS, iss, exp, nbf, aud or azp)
and show its claims, times also in words. --json prints them as the issuer wrote them.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			h, r, err := a.openHelper()
			if err != nil {
				return err
			}
			claims, err := h.Claims(cmd.Context(), r)
			if err != nil {
				return err
			}
			if a.flags.json {
				var b bytes.Buffer
				if err := json.Indent(&b, claims.JSON, "", "  "); err != nil {
					return err
				}
				b.WriteByte('\n')
				_, err := a.Stdout.Write(printableJSON(b.Bytes()))
				return err
			}
			return a.printClaims(claims.JSON)
		},
	}
}

// printClaims writes one line a claim, by name.
func (a *app) printClaims(payload []byte) error {
	var all map[string]json.RawMessage
	if err := json.Unmarshal(payload, &all); err != nil {
		return err
	}
	width := 0
	names := make([]string, 0, len(all))
	for name := range all {
		names = append(names, name)
		width = max(width, len(clean(name)))
	}
	slices.Sort(names)
	for _, name := range names {
		if _, err := fmt.Fprintf(a.people(), "%-*s  %s\n", width, clean(name), a.claim(name, all[name])); err != nil {
			return err
		}
	}
	return nil
}

// claim is a claim for people: strings bare, NumericDates (RFC 7519 §2) with
// the time they mean.
func (a *app) claim(name string, raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return clean(s)
	}
	var n float64
	if slices.Contains([]string{"exp", "iat", "nbf", "auth_time", "updated_at"}, name) && json.Unmarshal(raw, &n) == nil && n > 0 && n < 1<<40 {
		t := time.Unix(int64(n), 0)
		words := ago(t, a.Now())
		if t.After(a.Now()) {
			words = "in " + span(t.Sub(a.Now()))
		}
		return fmt.Sprintf("%s  (%s, %s)", raw, t.UTC().Format(time.RFC3339), words)
	}
	if name == "act" || name == "may_act" {
		if who := actor(raw); who != "" {
			words := "acting for the user: "
			if name == "may_act" {
				words = "may act for the user: "
			}
			return words + clean(who)
		}
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, raw); err != nil {
		return clean(string(raw))
	}
	return clean(strings.TrimSpace(compact.String()))
}

// actor names whom a claim act or may_act is about (RFC 8693 §4.1, §4.4), and those who
// acted before.
func actor(raw json.RawMessage) string { return actorChain(raw, maxActors) }

// maxActors bounds how many of a chain are named.
const maxActors = 5

func actorChain(raw json.RawMessage, most int) string {
	var a struct {
		Subject string          `json:"sub"`
		Client  string          `json:"client_id"`
		Issuer  string          `json:"iss"`
		Before  json.RawMessage `json:"act"`
	}
	if most == 0 || json.Unmarshal(raw, &a) != nil {
		return ""
	}
	who := or(a.Subject, a.Client)
	if who != "" && a.Issuer != "" {
		who += " of " + a.Issuer
	}
	if before := actorChain(a.Before, most-1); before != "" && who != "" {
		who += ", before that " + before
	}
	return who
}
