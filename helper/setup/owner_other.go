//go:build !unix

package setup

import "os"

// mayReplace is always so: Windows keeps no owner apart in a user's profile.
func (c *change) mayReplace() error { return nil }

func (c *change) keepAttributes(*os.File) error { return nil }
