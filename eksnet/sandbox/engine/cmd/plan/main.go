// Command plan says what the AWS Load Balancer Controller would make of manifests, and makes nothing:
//
//	plan < REQUEST.json > ANSWER.json
//
// Exit code 2: it could not be said; standard error has why.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"eksnet.dev/engine/internal/plan"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
}

func run(ctx context.Context) error {
	var request plan.Request
	if err := json.NewDecoder(os.Stdin).Decode(&request); err != nil {
		return fmt.Errorf("the request cannot be read: %w", err)
	}
	answer, err := plan.Make(ctx, request)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(answer)
}
