package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"portalhook/payload"
	"portalhook/storage"
	"portalhook/testdata"
	"portalhook/triggers"
)

type demoCommand struct {
	Once  bool   `help:"End when every delivery is accounted for, instead of staying open."`
	Store string `help:"Play it on a database instead of a temporary file: postgres://…, which is empty; what is made stays there." placeholder:"STORE"`
}

// Help is shown below the summary.
func (demoCommand) Help() string {
	return `It starts a server with a store of its own and a receiver, both on free ports of this machine, and plays the stories that the
tests read: it subscribes each one's webhooks through the API, emits its event, and holds what arrives to what should, byte for
byte and signature for signature. A second part shows what an administrator does next: a wrong trigger refused, a retry, a resend,
the answer to "why not?", and what the server tells of a webhook that it switches off. Then the server stays open until Ctrl-C, to be tried. Nothing is left behind.

The exit status is 0 when every expected delivery arrived exactly and verified, no other did, and the second part went as it should;
else 1.`
}

const (
	anyPort = "127.0.0.1:0"
	// storyTimeout bounds the wait for one story's deliveries.
	storyTimeout  = 20 * time.Second
	demoPortalURL = "https://portal.example.com/portal/"
	demoServerURL = "https://portal.example.com/server"
	// demoRetention is longer than any demo.
	demoRetention = 30 * 24 * time.Hour
	// demoWebhooks is room for the webhooks of all stories.
	demoWebhooks = 100_000
)

// Run plays the demo.
func (d *demoCommand) Run(ctx context.Context, std streams) (err error) {
	stories, err := testdata.Stories()
	if err != nil {
		return err
	}
	stories = slices.DeleteFunc(stories, func(s testdata.Story) bool { return s.OfServer() })
	if d.Store != "" && !isPostgres(d.Store) {
		return usagef("demo: --store %q is not postgres://…", withoutUser(d.Store))
	}
	stage, err := openStage(ctx, std, d.Store)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stage.close()) }()

	report := newReport(std.out, stories)
	fmt.Fprintf(std.out, "Server %s, receiver %s, store %s: %d stories.\n\n", stage.url, stage.receiverURL, stage.dir, len(stories))
	report.header()
	began := time.Now()
	for i := range stories {
		result, err := stage.play(ctx, &stories[i])
		if err != nil {
			return fmt.Errorf("story %s: %w", stories[i].Name, err)
		}
		report.add(&result)
	}
	stage.administer(ctx, report)
	report.strays(stage.arrived.strays())
	report.finish(time.Since(began))
	if !d.Once {
		if err := stage.stayOpen(ctx, std); err != nil {
			return err
		}
	}
	if report.failed() {
		return errShown
	}
	return nil
}

// stage is where the stories are played: a server, a receiver, and a client of the server's API.
type stage struct {
	dir         string // holds the store; removed at the end
	url         string // the server's
	receiverURL string
	key         string
	client      *client
	arrived     *inbox
	stop        context.CancelFunc
	running     sync.WaitGroup
	ended       []error // of the server and of the receiver, once they have
}

// openStage makes a stage, in a temporary folder, or where store says so in a database that is empty.
func openStage(ctx context.Context, std streams, store string) (_ *stage, err error) {
	s := &stage{key: newAdminKey(), arrived: newInbox(), ended: make([]error, 2)}
	if s.dir, err = os.MkdirTemp("", "portalhook-demo-"); err != nil {
		return nil, fmt.Errorf("temporary store: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(s.dir))
		}
	}()
	receiving, err := listenOn(ctx, anyPort)
	if err != nil {
		return nil, err
	}
	server, err := demoServer(ctx, std, s.dir, store, s.key)
	if err != nil {
		return nil, errors.Join(err, receiving.Close())
	}
	s.url = server.url()
	s.receiverURL = "http://" + receiving.Addr().String()
	s.client = (&serverFlags{Server: s.url, Key: s.key}).client()

	// What runs ends by stop, not by ctx: a Ctrl-C is for the demo, which then stops what it has started.
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	s.running.Go(func() { s.ended[0] = server.serve(running) })
	s.running.Go(func() {
		s.ended[1] = serveUntil(running, receiving, farEnd(s.arrived.add))
	})
	return s, nil
}

// demoServer is a server with a new store in dir, or in the database that store names, for receivers on this machine.
func demoServer(ctx context.Context, std streams, dir, store, key string) (*server, error) {
	targets, err := triggers.ParseTargets([]string{"127.0.0.0/8"}, true)
	if err != nil {
		return nil, err
	}
	listener, err := listenOn(ctx, anyPort)
	if err != nil {
		return nil, err
	}
	kept := storage.Config{Path: filepath.Join(dir, "demo.db"), KeyFile: filepath.Join(dir, "demo.key"), URL: store}
	server, err := openServer(ctx, serverConfig{
		listener: listener, store: kept, adminKey: key, targets: targets,
		maxWebhooks: demoWebhooks, retention: demoRetention, portalURL: demoPortalURL, serverURL: demoServerURL,
		log: slog.New(slog.NewTextHandler(std.err, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	return server, nil
}

// close stops server and receiver, and removes the store.
func (s *stage) close() error {
	s.client.http.CloseIdleConnections()
	s.stop()
	s.running.Wait()
	return errors.Join(append(s.ended, os.RemoveAll(s.dir))...)
}

// stayOpen shows how to go on, subscribes a webhook to everything, and prints what arrives until ctx ends.
func (s *stage) stayOpen(ctx context.Context, std streams) error {
	created, err := s.subscribe(ctx, newWebhook{
		Name: "everything", URL: s.receiverURL + "/everything", EventTypes: []string{"/"}, Enabled: true, Secret: demoSecret,
	})
	if err != nil {
		return fmt.Errorf("subscribe: %w", err)
	}
	fmt.Fprintf(std.out, `
The server stays open until Ctrl-C. A webhook named everything (%s) hears all that happens. Tell the server something:

  curl -sS %s/api/v1/events \
    -H 'Authorization: Bearer %s' -H 'Content-Type: application/json' \
    -d '{"uri":"/items/4adc30bb03054812a846fa592de105de/share","username":"jdoe","properties":{"sharedToGroups":["Everyone"]}}'

or, from another shell:

  export PORTALHOOK_SERVER=%s PORTALHOOK_KEY=%s
  portalhook match /groups/0c1b4a2e/addUsers

What the receiver gets is shown here.

`, created, s.url, s.key, s.url, s.key)
	printer := textPrinter{out: std.out, paint: paintFor(std.out), checked: true, pretty: true}
	for {
		a, ok := s.arrived.next(ctx)
		if !ok {
			return nil
		}
		a.signatures, a.problem = verified(&a, demoSecret, payload.HeaderEsri)
		if err := printer.print(a, 1); err != nil {
			return fmt.Errorf("print: %w", err)
		}
	}
}

// demoSecret signs the deliveries of the webhook that stays.
const demoSecret = "whsec_cG9ydGFsaG9vay1kZW1vLXNlY3JldC1pbi1wbGFpbiE=" //nolint:gosec // it guards nothing: it is printed here

// newWebhook is the body that creates a webhook.
type newWebhook struct {
	Name       string   `json:"name"`
	URL        string   `json:"url"`
	EventTypes []string `json:"eventTypes"`
	Enabled    bool     `json:"enabled"`
	Secret     string   `json:"secret,omitzero"`
	Format     string   `json:"format,omitzero"`
	// EnableCloudEventDelivery is the server's default when nil.
	EnableCloudEventDelivery *bool    `json:"enableCloudEventDelivery,omitzero"`
	Retry                    []string `json:"retry,omitzero"` // the waits before each attempt
	Level                    string   `json:"level,omitzero"`
	OwnerID                  string   `json:"ownerId,omitzero"`
	Filter                   string   `json:"filter,omitzero"`
	ContentType              string   `json:"contentType,omitzero"`
	PayloadFormat            string   `json:"payloadFormat,omitzero"`
}

const webhooksPath = "/api/v1/webhooks"

// subscribe creates a webhook and gives its id.
func (s *stage) subscribe(ctx context.Context, webhook newWebhook) (string, error) {
	var created struct {
		ID string `json:"id"`
	}
	err := s.client.call(ctx, http.MethodPost, webhooksPath, webhook, &created)
	return created.ID, err
}
