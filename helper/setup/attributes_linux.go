package setup

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

func attributesOf(path string) (all []attribute, err error) {
	names := make([]byte, 1<<16) // the kernel's own limit
	n, err := unix.Listxattr(path, names)
	if errors.Is(err, unix.ENOTSUP) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("its extended attributes: %w", err)
	}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(names[:n]), "\x00"), "\x00") {
		if name == "" {
			continue
		}
		value := make([]byte, 1<<16)
		n, err := unix.Getxattr(path, name, value)
		if err != nil {
			return nil, fmt.Errorf("its extended attribute %q: %w", name, err)
		}
		all = append(all, attribute{name, value[:n]})
	}
	return all, nil
}

func setAttributes(f *os.File, all []attribute) error {
	for _, a := range all {
		value := make([]byte, 1<<16)
		if n, err := unix.Fgetxattr(int(f.Fd()), a.name, value); err == nil && bytes.Equal(value[:n], a.value) {
			continue // a label that the system gives to every file there
		}
		if err := unix.Fsetxattr(int(f.Fd()), a.name, a.value, 0); err != nil {
			return fmt.Errorf("its extended attribute %q cannot be kept: %w", a.name, err)
		}
	}
	return nil
}
