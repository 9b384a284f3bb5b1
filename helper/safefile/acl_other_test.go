//go:build unix && !linux

package safefile

import "errors"

func setACL(string, []byte) error { return errors.ErrUnsupported }
