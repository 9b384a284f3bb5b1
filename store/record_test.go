package store

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/terradue/t2-cred/helper/secret"
)

func fullRecord() Record {
	r := sampleRecordNoToken("g1")
	r.RefreshExpiry = time.Date(2027, 1, 2, 3, 4, 5, 6, time.UTC)
	r.Session = "0123456789abcdef"
	r.ClientAuth, r.Asked, r.Verified, r.Introspects, r.Machine = "post", []string{"openid", "gep"}, true, true, "abcdefgh"
	r.RevokedBy = "invalid_grant: \"Session\u2028 not\x00 active\" <é>"
	r.RevokedAt = time.Date(2026, 12, 1, 0, 0, 0, 0, time.FixedZone("", 3600))
	return r
}

func TestRecord_survives(t *testing.T) {
	for name, want := range map[string]Record{"full": fullRecord(), "least": {GrantInfo: GrantInfo{Grant: "g"}}} {
		value := encodeRecord(alice, want)
		k, got, err := decodeRecord(value)
		if err != nil || k != alice {
			t.Fatalf("%s: %v, %v", name, k, err)
		}
		if !got.RevokedAt.Equal(want.RevokedAt) {
			t.Errorf("%s: DeadAt = %v", name, got.RevokedAt)
		}
		elsewhere := want
		elsewhere.Created = want.Created.In(time.FixedZone("", -7200))
		if encodeRecord(alice, elsewhere) != value {
			t.Errorf("%s: the same moment in another zone is another record", name)
		}
		got.RevokedAt = want.RevokedAt
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
		if encodeRecord(alice, got) != value {
			t.Errorf("%s: what was read is not equal at rest to what was written", name)
		}
	}
}

// TestRecord_hasAllFields fails when a field is added to the type and not here.
func TestRecord_hasAllFields(t *testing.T) {
	v := reflect.ValueOf(fullRecord())
	for i := range v.NumField() {
		if f := v.Type().Field(i); f.Name != "Token" && f.Name != "format" && v.Field(i).IsZero() {
			t.Errorf("fullRecord has no %s: is it encoded?", f.Name)
		}
	}
	info := reflect.ValueOf(fullRecord().GrantInfo)
	for i := range info.NumField() {
		if info.Field(i).IsZero() {
			t.Errorf("fullRecord has no %s: is it encoded?", info.Type().Field(i).Name)
		}
	}
	tok := sampleToken("t")
	_, got, err := decodeToken(encodeToken("g", tok))
	v = reflect.ValueOf(tok)
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			t.Errorf("sampleToken has no %s: is it encoded?", v.Type().Field(i).Name)
		}
	}
	if err != nil || !got.equal(tok) {
		t.Errorf("token: %+v, %v", got, err)
	}
}

func TestRecord_isASCII(t *testing.T) {
	value := encodeRecord(Key{"日本", "🐙"}, fullRecord()).Reveal()
	for i := range len(value) {
		if value[i] < 0x20 || value[i] > 0x7e {
			t.Fatalf("byte %#x at %d", value[i], i)
		}
	}
	if k, _, err := decodeRecord(secret.Secret(value)); err != nil || k != (Key{"日本", "🐙"}) {
		t.Errorf("%v, %v", k, err)
	}
}

func TestRecord_versions(t *testing.T) {
	var fields map[string]any
	if err := json.Unmarshal([]byte(encodeRecord(alice, fullRecord()).Reveal()), &fields); err != nil {
		t.Fatal(err)
	}
	with := func(name string, value any) secret.Secret {
		fields[name] = value
		raw, err := json.Marshal(fields)
		if err != nil {
			t.Fatal(err)
		}
		return secret.Secret(raw)
	}
	if _, r, err := decodeRecord(with("added_later", "x")); err != nil || r.Grant != "g1" {
		t.Errorf("unknown field: %v", err)
	}
	for _, newer := range []secret.Secret{with("v", 3), with("scopes", 7)} { // the second keeps v = 3
		if _, _, err := decodeRecord(newer); !errors.Is(err, ErrCorrupt) || !errors.Is(err, ErrNewer) {
			t.Errorf("newer version: %v", err)
		}
	}
}

func TestRecord_damageIsNamedAndNotShown(t *testing.T) {
	whole := encodeRecord(alice, fullRecord()).Reveal()
	for _, bad := range []string{"", "x", "hunter2", whole[:len(whole)/2], "{}", "null", `{"v":0}`, `{"v":1}`, `{"v":"1"}`, `["hunter2"]`, whole + "}"} {
		_, _, err := decodeRecord(secret.Secret(bad))
		if !errors.Is(err, ErrCorrupt) {
			t.Errorf("%.20q: %v", bad, err)
		} else if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "rrr") {
			t.Errorf("the error shows the value: %v", err)
		}
	}
	if _, err := decodeFor(Key{"gep", "bob"}, secret.Secret(whole)); !errors.Is(err, ErrCorrupt) {
		t.Errorf("another account's record: %v", err)
	}
	if _, err := decodeClientSecret("other", encodeClientSecret("gep", "s")); !errors.Is(err, ErrCorrupt) {
		t.Errorf("another profile's secret: %v", err)
	}
}

func FuzzDecodeRecord(f *testing.F) {
	f.Add(encodeRecord(alice, fullRecord()).Reveal())
	f.Add(`{"v":2}`)
	f.Fuzz(func(t *testing.T, value string) {
		k, r, err := decodeRecord(secret.Secret(value))
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Errorf("%v", err)
			}
			return
		}
		again := encodeRecord(k, r)
		if _, r2, err := decodeRecord(again); err != nil || encodeRecord(k, r2) != again {
			t.Errorf("not stable: %v", err)
		}
	})
}

// A grant of 3f78ee2 keeps its format; one that is made now is refused by it.
func TestRecord_formatOfAGrant(t *testing.T) {
	s := open(t, fileOptions(t))
	old := sampleRecord("g1")
	old.format = firstRecord
	put(t, s, alice, old)
	if _, err := rotation(s, second); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`{"v":1,`, `{"v":2,`} {
		value, _, err := s.backend.Load(context.Background(), alice.item(kindGrant))
		if err != nil || !strings.HasPrefix(value.Reveal(), want) {
			t.Errorf("the record begins with %.8s, want %s, %v", value.Reveal(), want, err)
		}
		put(t, s, alice, sampleRecord("g2"))
	}
}
