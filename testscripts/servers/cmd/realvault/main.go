// Command realvault runs a real, empty Vault on loopback for tests. It prints
// what a client needs as NAME=VALUE lines, then an empty line, and serves until
// its standard input is closed or it is interrupted.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/valetkey/valetkey/testscripts/servers/vaultserver"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("realvault: ")
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	dir, err := os.MkdirTemp("", "realvault-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)

	starting, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	server, err := vaultserver.Start(starting, dir)
	if err != nil {
		return err
	}
	defer server.Close()

	for _, line := range [][2]string{
		{"VALETKEY_VAULT_ADDRESS", server.Address},
		{"VALETKEY_VAULT_CA_FILE", server.CAFile},
		{"VALETKEY_VAULT_TOKEN", server.Token},
		{"VALETKEY_SANDBOX_ROLE_ID", server.RoleID},
		{"VALETKEY_SANDBOX_SECRET_ID", server.SecretID},
		{"VALETKEY_SANDBOX_PASSWORD_ALICE", server.Password},
	} {
		if _, err := fmt.Printf("%s=%s\n", line[0], line[1]); err != nil {
			return err
		}
	}
	if _, err := fmt.Println(); err != nil { // that is all
		return err
	}
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		_, _ = io.Copy(io.Discard, os.Stdin)
	}()
	select {
	case <-ctx.Done():
	case <-closed:
	}
	return nil
}
