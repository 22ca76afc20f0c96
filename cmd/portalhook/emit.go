package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

type emitCommand struct {
	URI string `arg:"" optional:"" help:"What happened, as in /items/4adc30bb03054812a846fa592de105de/share."`

	User    string   `help:"Who did it: the user's name." placeholder:"NAME"`
	UserID  string   `help:"Who did it: the user's id." placeholder:"ID"`
	Set     []string `help:"A property of the event; repeat it for more. A value that is a JSON array or object is taken as such, any other is text; the same name again makes an array." sep:"none" placeholder:"NAME=VALUE"`
	EventID string   `name:"event-id" help:"The event's own id, under which the server takes it only once. Without one it gets one here." placeholder:"ID"`

	File  string `short:"f" help:"Emit a file of events instead, one JSON object a line or one JSON array of them; - is standard input." placeholder:"FILE"`
	IDs   bool   `name:"ids" help:"With --file, print a line for each event also on a terminal."`
	Tries int    `help:"How often a request is sent that the server is too busy for, or that does not get through." default:"8" placeholder:"N"`

	serverFlags
}

// Help is shown below the summary.
func (emitCommand) Help() string {
	return `One event:

	portalhook emit /items/4adc30bb03054812a846fa592de105de/share --user jdoe --set sharedToGroups=Everyone

A file of them, each as POST /api/v1/events takes it:

	portalhook emit -f events.ndjson

It prints a line for each event, once the server has it on disk: its id, how many webhooks it matched, and of a file the line
it stands on. A server that is busy (429, 503) is asked again after the time it names. Every event has an eventId, from the
file or made here, so that asking again never makes a second event. At an event that the server refuses, emit stops: those
before it are accepted, those after it are not sent, and the error names the line.`
}

// Validate is called by kong once the flags are read.
func (e *emitCommand) Validate() error {
	switch {
	case e.Tries < 1:
		return errors.New("--tries is at least 1")
	case e.File == "" && e.URI == "":
		return errors.New("give the URI of an event, or a file of events with --file")
	case e.File != "" && (e.URI != "" || e.User != "" || e.UserID != "" || e.EventID != "" || len(e.Set) > 0):
		return errors.New("--file takes its events whole: no URI, --user, --user-id, --event-id or --set beside it")
	}
	for _, pair := range e.Set {
		if name, _, ok := strings.Cut(pair, "="); !ok || name == "" {
			return fmt.Errorf("--set %q is not NAME=VALUE", pair)
		}
	}
	return e.serverFlags.Validate()
}

// Run emits, and prints what the server made of it.
func (e *emitCommand) Run(ctx context.Context, std streams) error {
	sender := &sender{client: e.client(), tries: e.Tries, pause: wait}
	if e.File == "" {
		return e.emitOne(ctx, std, sender)
	}
	return e.emitFile(ctx, std, sender)
}

func (e *emitCommand) emitOne(ctx context.Context, std streams, sender *sender) error {
	body, err := e.event()
	if err != nil {
		return err
	}
	receipt, err := sender.one(ctx, body)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(std.out, receipt)
	return err
}

// event is the JSON object of the event that the flags describe.
func (e *emitCommand) event() ([]byte, error) {
	id := e.EventID
	if id == "" {
		id = newEventID()
	}
	var b bytes.Buffer
	w := jsontext.NewEncoder(&b)
	if err := w.WriteToken(jsontext.BeginObject); err != nil {
		return nil, fmt.Errorf("encode event: %w", err)
	}
	for _, member := range []struct{ name, text string }{
		{"eventId", id}, {"uri", e.URI}, {"username", e.User}, {"userId", e.UserID},
	} {
		if member.text == "" {
			continue
		}
		if err := errors.Join(w.WriteToken(jsontext.String(member.name)), w.WriteToken(jsontext.String(member.text))); err != nil {
			return nil, fmt.Errorf("encode event: %s: %w", member.name, err)
		}
	}
	if len(e.Set) > 0 {
		properties, err := propertiesOf(e.Set)
		if err != nil {
			return nil, err
		}
		if err := errors.Join(w.WriteToken(jsontext.String("properties")), w.WriteValue(properties)); err != nil {
			return nil, fmt.Errorf("encode event: properties: %w", err)
		}
	}
	if err := w.WriteToken(jsontext.EndObject); err != nil {
		return nil, fmt.Errorf("encode event: %w", err)
	}
	return bytes.TrimSpace(b.Bytes()), nil
}

// propertiesOf makes an object of NAME=VALUE pairs, in the order in which the names first come.
func propertiesOf(pairs []string) (jsontext.Value, error) {
	var names []string
	values := make(map[string][]jsontext.Value)
	for _, pair := range pairs {
		name, text, _ := strings.Cut(pair, "=")
		value, err := propertyValue(text)
		if err != nil {
			return nil, fmt.Errorf("--set %s: %w", name, err)
		}
		if values[name] == nil {
			names = append(names, name)
		}
		values[name] = append(values[name], value)
	}
	object := []byte{'{'}
	for i, name := range names {
		if i > 0 {
			object = append(object, ',')
		}
		var err error
		if object, err = jsontext.AppendQuote(object, name); err != nil {
			return nil, fmt.Errorf("--set %s: %w", name, err)
		}
		object = append(object, ':')
		if len(values[name]) == 1 {
			object = append(object, values[name][0]...)
			continue
		}
		for j, value := range values[name] {
			object = append(object, "[,"[min(j, 1)])
			object = append(object, value...)
		}
		object = append(object, ']')
	}
	return append(object, '}'), nil
}

// propertyValue reads a JSON array or object; whatever is neither is text, so that a group named 7 or true stays a name.
func propertyValue(text string) (jsontext.Value, error) {
	if value := jsontext.Value(text); value.IsValid() && (value.Kind() == '[' || value.Kind() == '{') {
		return value, nil
	}
	return jsontext.AppendQuote(nil, text)
}

func (e *emitCommand) emitFile(ctx context.Context, std streams, sender *sender) error {
	in, size, closeFile, err := e.open(std)
	if err != nil {
		return err
	}
	defer closeFile()
	progress := newProgress(std, size, !isTerminal(std.out) || e.IDs)
	reader := newEventReader(progress.reading(in))
	start := time.Now()
	emitted, err := emitAll(ctx, reader, sender, func(n numbered) error {
		progress.emitted()
		if isTerminal(std.out) && !e.IDs {
			return nil
		}
		_, err := fmt.Fprintf(std.out, "%s  line %d\n", n.receipt, n.line)
		return err
	})
	progress.finish()
	fmt.Fprintf(std.err, "%s in %s\n", emitted, time.Since(start).Round(time.Millisecond))
	return err
}

// open gives the events' source and its size in bytes, -1 when that is not known before the end.
func (e *emitCommand) open(std streams) (in io.Reader, size int64, closeFile func(), err error) {
	if e.File == "-" {
		return std.in, -1, func() {}, nil
	}
	file, err := os.Open(e.File)
	if err != nil {
		return nil, 0, nil, usagef("%w", err)
	}
	size = -1
	if info, err := file.Stat(); err == nil && info.Mode().IsRegular() {
		size = info.Size()
	}
	return file, size, func() { _ = file.Close() }, nil
}
