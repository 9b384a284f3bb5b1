package hook

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// readObject reads one JSON object and nothing after it. Names are case-sensitive and
// must not repeat. encoding/json would ignore case and let the last of two win, where
// the tool may have meant the first.
func readObject(text []byte) (map[string]json.RawMessage, error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	if open, err := dec.Token(); err != nil || open != json.Delim('{') {
		return nil, errors.New("not a JSON object")
	}
	members := map[string]json.RawMessage{}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, errors.New("not a JSON object, or one that was cut off")
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, errors.New("not a JSON object, or one that was cut off")
		}
		key := name.(string) // where a name is due, the decoder gives nothing else
		if _, twice := members[key]; twice {
			return nil, fmt.Errorf("%q stands there twice", key)
		}
		members[key] = value
	}
	if _, err := dec.Token(); err != nil {
		return nil, errors.New("not a JSON object, or one that was cut off")
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is more after the JSON object")
	}
	return members, nil
}

// beginsObject reports whether text is the beginning of a JSON object and has a string,
// a name or a value, in it.
func beginsObject(text []byte, has string) bool {
	return bytes.HasPrefix(bytes.TrimLeft(text, " \t\r\n"), []byte("{")) && bytes.Contains(text, []byte(`"`+has+`"`))
}

// member decodes one member of an object. It leaves into unchanged if there is none.
func member(of map[string]json.RawMessage, name string, into any) error {
	value, ok := of[name]
	if !ok {
		return nil
	}
	if err := json.Unmarshal(value, into); err != nil {
		return fmt.Errorf("%q is not what the protocol has there", name)
	}
	return nil
}
