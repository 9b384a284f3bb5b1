//go:build ignore

// Standalone runs the test issuer on its own, for the demo and for trying things
// out by hand:
//
//	go run ./helper/oidc/oidctest/standalone.go -lifespan 5s -dir /tmp/issuer
//
// It writes the issuer's URL and the client's secret to two files in the given
// folder, and says where it is. It runs until it is interrupted or, with -stdin, until its
// standard input ends. See oidctest's control endpoints for the requests that it takes meanwhile.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/terradue/t2-cred/helper/oidc/oidctest"
)

func main() { os.Exit(run()) }

func run() int {
	listen := flag.String("listen", "127.0.0.1:0", "address to listen on")
	lifespan := flag.Duration("lifespan", 5*time.Minute, "how long access tokens live")
	rotate := flag.Bool("rotate", false, "refresh tokens serve once (Revoke Refresh Token, reuse 0)")
	secure := flag.Bool("tls", false, "serve https with a CA of its own")
	dir := flag.String("dir", "", "folder to write issuer.url and client.secret to")
	stdin := flag.Bool("stdin", false, "end when standard input does")
	flag.Parse()

	opts := []oidctest.Option{oidctest.Control(), oidctest.Listen(*listen), oidctest.Lifespan(*lifespan)}
	if *rotate {
		opts = append(opts, oidctest.Refresh(oidctest.Revoke))
	}
	if *secure {
		opts = append(opts, oidctest.TLS())
	}
	issuer, err := oidctest.Start(opts...)
	if err != nil {
		fmt.Fprintln(os.Stderr, "standalone:", err)
		return 1
	}
	defer issuer.Close()
	if *dir != "" {
		if err := write(*dir, issuer); err != nil {
			fmt.Fprintln(os.Stderr, "standalone:", err)
			return 1
		}
	}
	fmt.Printf("issuer %s\nclient %s\n", issuer.URL(), oidctest.ClientID)
	if ca := issuer.CAFile(); ca != "" {
		fmt.Println("ca", ca)
	}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if *stdin {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			stop()
		}()
	}
	<-ctx.Done()
	return 0
}

// write leaves client.secret before issuer.url, so that who waits for the
// latter finds both.
func write(dir string, issuer *oidctest.Issuer) error {
	if err := os.WriteFile(filepath.Join(dir, "client.secret"), []byte(issuer.ClientSecret()+"\n"), 0o600); err != nil {
		return err
	}
	temporary := filepath.Join(dir, ".issuer.url")
	if err := os.WriteFile(temporary, []byte(issuer.URL()+"\n"), 0o600); err != nil {
		return err
	}
	return os.Rename(temporary, filepath.Join(dir, "issuer.url"))
}
