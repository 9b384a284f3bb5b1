// Command man writes the manual pages of t2-cred: one a command, made of what help
// shows, and t2-cred-hooks(7), made of what the hooks say of themselves. They are
// made when a release is, and not kept in the repository, so that they cannot differ
// from the program that they come with.
//
//	go run ./docs/man -version 1.2.3 -date 2026-11-24 DIRECTORY
//
// Each page is written to DIRECTORY/manN/, and a second time with gzip, as Debian
// wants it. The same arguments give the same bytes.
package main

import (
	"bytes"
	"compress/gzip"
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	var s source
	flag.StringVar(&s.version, "version", "", "version of t2-cred that the pages name")
	flag.StringVar(&s.date, "date", "", "date that the pages name")
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	if err := s.write(flag.Arg(0)); err != nil {
		fmt.Fprintln(os.Stderr, "man:", err)
		os.Exit(1)
	}
}

// write writes all pages below a directory.
func (s source) write(dir string) error {
	for name, text := range s.pages() {
		sub := filepath.Join(dir, "man"+filepath.Ext(name)[1:])
		if err := os.MkdirAll(sub, 0o755); err != nil {
			return err
		}
		packed, err := pack([]byte(text))
		if err != nil {
			return err
		}
		for path, content := range map[string][]byte{name: []byte(text), name + ".gz": packed} {
			if err := os.WriteFile(filepath.Join(sub, path), content, 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}

// pack is gzip -9n: without a time, so that it is the same again.
func pack(text []byte) ([]byte, error) {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := z.Write(text); err != nil {
		return nil, err
	}
	err = z.Close()
	return b.Bytes(), err
}
