package main

import (
	"errors"
	"fmt"
)

// The exit statuses, as docs/operating.md lists them.
const (
	exitOK          = 0
	exitFailed      = 1 // what was asked for failed
	exitUsage       = 2 // the command line is wrong
	exitUnreachable = 3 // the server could not be reached, or refused the key
)

// failure is an error that ends the process with a status of its own; any other error ends it with exitFailed.
type failure struct {
	status int
	cause  error
}

func (f *failure) Error() string { return f.cause.Error() }
func (f *failure) Unwrap() error { return f.cause }

// usagef is a failure of whoever typed the command.
func usagef(format string, args ...any) error {
	return &failure{status: exitUsage, cause: fmt.Errorf(format, args...)}
}

// unreachablef is a failure to get to the server, or past its door.
func unreachablef(format string, args ...any) error {
	return &failure{status: exitUnreachable, cause: fmt.Errorf(format, args...)}
}

// errShown says that the output itself already tells of the failure.
var errShown = errors.New("failed as shown")

// isUnreachable reports whether an error is such a failure, after which there is no use in asking on.
func isUnreachable(err error) bool {
	failed, ok := errors.AsType[*failure](err)
	return ok && failed.status == exitUnreachable
}
