package oidctest

import "testing"

// TestSnapshot: a token that was spent can be spent again after the grant was put
// back, and Watch lists each arrival.
func TestSnapshot(t *testing.T) {
	i := start(t, Refresh(Revoke))
	status, a := ask(t, i, Token, exchangeForm(i.UserToken("alice")))
	first, _ := a["refresh_token"].(string)
	if status != 200 || first == "" {
		t.Fatalf("no refresh token: %d %v", status, a)
	}
	seen, remove := i.Watch()
	defer remove()
	restore := i.Snapshot()
	for range 2 {
		if status, a = ask(t, i, Token, refreshForm(first)); status != 200 {
			t.Fatalf("spend: %d %v", status, a)
		}
		if status, _ = ask(t, i, Token, refreshForm(first)); status != 400 || i.Grants("alice") != 0 {
			t.Fatalf("spent twice: %d, %d grants", status, i.Grants("alice"))
		}
		restore()
	}
	all, second := seen.All(), a["refresh_token"]
	if len(all) != 4 || len(seen.Twice()) != 1 || all[2].Given != second || all[2].Status != 200 || all[3].Given != "" || all[3].Status != 400 {
		t.Errorf("seen %+v, last given %v", all, second)
	}
	if i.Grants("alice") != 1 || i.Refreshes() != 0 {
		t.Errorf("%d grants and %d refreshes after all was put back", i.Grants("alice"), i.Refreshes())
	}
	seen.Forget()
	if len(seen.All()) != 0 {
		t.Error("not forgotten")
	}
}
