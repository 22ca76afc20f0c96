package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"
)

// commandLine is everything that can be typed: a field is a command, a command's fields are its flags, arguments, environment
// variables, defaults and help.
type commandLine struct {
	Help helpFlag `help:"Show help; after a command, that command's." short:"h"`

	Serve      serveCommand      `cmd:"" help:"Run the server."`
	Demo       demoCommand       `cmd:"" help:"See it work, without any set-up: server, receiver, webhooks, every kind of event."`
	Emit       emitCommand       `cmd:"" help:"Tell a server what happened: one event, or a file of them."`
	Listen     listenCommand     `cmd:"" help:"Receive deliveries: print them, check their signatures, answer as told."`
	Match      matchCommand      `cmd:"" help:"Ask a server which webhooks would get an event, and why."`
	Triggers   triggersCommand   `cmd:"" help:"Show the catalogue of triggers (needs no server)."`
	Tenants    tenantsCommand    `cmd:"" help:"List, make and change tenants."`
	Keys       keysCommand       `cmd:"" help:"List, make and revoke API keys."`
	Webhooks   webhooksCommand   `cmd:"" help:"List, show, switch, test and delete webhooks."`
	Deliveries deliveriesCommand `cmd:"" help:"List, show and resend deliveries of a webhook."`
	Recover    recoverCommand    `cmd:"" help:"Send what a webhook did not get: counted first, then at a bounded rate."`
	Import     importCommand     `cmd:"" help:"Make the webhooks that another system lists."`
	Export     exportCommand     `cmd:"" help:"Write the webhooks as another system lists them."`
	Backup     backupCommand     `cmd:"" help:"Copy the store, also while the server runs."`
	Migrate    migrateCommand    `cmd:"" help:"Take a store from SQLite to PostgreSQL, or back."`
	Health     healthCommand     `cmd:"" help:"Ask a server whether it is ready."`
	Version    versionCommand    `cmd:"" help:"Show the version."`
}

const description = `Portalhook delivers what happens in a portal to the webhooks that want to know.

Exit status: 0 done, 1 what was asked for failed, 2 wrong usage, 3 the server could not be reached or refused the key.`

// streams are the standard streams, or what stands in for them in tests.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// run does what args ask for and gives the process's exit status. It is the one place where an error of a command is shown.
func run(ctx context.Context, args []string, std streams) int {
	err := dispatch(ctx, args, std)
	var failed *failure
	switch {
	case err == nil, errors.Is(err, errHelpShown):
		return exitOK
	case errors.Is(err, errShown):
		return exitFailed
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		fmt.Fprintln(std.err, "portalhook: interrupted")
		return exitFailed
	case errors.As(err, &failed):
		fmt.Fprintf(std.err, "portalhook: %v\n", err)
		return failed.status
	default:
		fmt.Fprintf(std.err, "portalhook: %v\n", err)
		return exitFailed
	}
}

func dispatch(ctx context.Context, args []string, std streams) error {
	if len(args) > 0 && args[0] == "help" {
		args = append(args[1:len(args):len(args)], "--help")
	}
	if len(args) == 0 {
		// Help is what a first try needs, but a script that forgot the command must not take it for success.
		if err := dispatch(ctx, []string{"--help"}, streams{in: std.in, out: std.err, err: std.err}); !errors.Is(err, errHelpShown) {
			return err
		}
		return usagef("a command is missing")
	}
	parser, err := kong.New(new(commandLine),
		kong.Name("portalhook"), kong.Description(description), kong.Writers(std.out, std.err), kong.NoDefaultHelp(),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: helpWidth}), kong.ValueFormatter(helpValue),
		kong.PostBuild(nameHelpFlag), kong.BindTo(ctx, (*context.Context)(nil)), kong.Bind(std))
	if err != nil {
		return fmt.Errorf("command line: %w", err)
	}
	parsed, err := parser.Parse(args)
	var wrong *kong.ParseError
	switch {
	case errors.Is(err, errHelpShown):
		return err
	case errors.As(err, &wrong):
		return usagef("%w%s", err, helpHint(wrong.Context))
	case err != nil:
		return usagef("%w", err)
	}
	return parsed.Run()
}

// helpWidth is the widest that help is printed, in characters.
const helpWidth = 110

// helpValue is the help of a flag or argument: what it does, its default, the variable that sets it.
func helpValue(value *kong.Value) string {
	var notes []string
	if value.HasDefault {
		notes = append(notes, "default "+value.Default)
	}
	for _, name := range value.Tag.Envs {
		notes = append(notes, "$"+name)
	}
	if len(notes) == 0 {
		return value.Help
	}
	return strings.TrimSuffix(value.Help, ".") + " (" + strings.Join(notes, ", ") + ")."
}

// helpHint says where the help on the command that was meant is.
func helpHint(parsed *kong.Context) string {
	command := "portalhook"
	if parsed != nil && parsed.Selected() != nil {
		command = parsed.Selected().FullPath()
	}
	return fmt.Sprintf(" (see %s --help)", command)
}

// helpFlag prints help and stops parsing by an error; kong's own ends the process, which a test does not survive.
type helpFlag bool

var errHelpShown = errors.New("help was shown")

// BeforeReset is kong's first hook: it comes before missing arguments are complained of.
func (helpFlag) BeforeReset(parsed *kong.Context) error {
	if err := parsed.PrintUsage(false); err != nil {
		return fmt.Errorf("print help: %w", err)
	}
	return errHelpShown
}

// nameHelpFlag tells kong which flag shows help, so that usage lines mention it.
func nameHelpFlag(parser *kong.Kong) error {
	for _, flag := range parser.Model.Flags {
		if flag.Name == "help" {
			parser.Model.HelpFlag = flag
		}
	}
	return nil
}
