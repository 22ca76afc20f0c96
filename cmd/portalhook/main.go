// Portalhook is a webhook server for portals and the tools that belong to it.
package main

import (
	"context"
	"io"
	"log"
	"os"
	"os/signal"
	"syscall"
)

func main() { os.Exit(mainStatus()) }

// mainStatus runs the command line under a context that the first SIGINT or SIGTERM ends. By then the signals have their usual
// effect again, so that a second one ends a process that is still finishing its work.
func mainStatus() int {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	// Our own log is slog's. The HTTP library would print what a receiver sends unasked: beside the log's lines, in another form, as
	// often as the receiver likes, and with whatever secret it echoes.
	log.SetOutput(io.Discard)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		signal.Stop(signals)
		cancel()
	}()
	return run(ctx, os.Args[1:], streams{in: os.Stdin, out: os.Stdout, err: os.Stderr})
}
