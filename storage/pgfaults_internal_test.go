package storage

import (
	"context"
	"fmt"
	"io"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
)

// A group's batches are tried one by one only where one of them may be at fault: whoever waits for a database that is away waits once.
func TestFaultsOfOneBatch(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		err   error
		ofOne bool
	}{
		{&pgconn.PgError{Code: "22021"}, true}, // a character that cannot be kept
		{&pgconn.PgError{Code: "54000"}, true},
		{fmt.Errorf("encode: %w", io.ErrShortBuffer), true},
		{&pgconn.PgError{Code: "57014"}, false}, // the statement took too long
		{&pgconn.PgError{Code: "57P01"}, false},
		{&pgconn.PgError{Code: codeDiskFull}, false},
		{&pgconn.PgError{Code: codeNoLock}, false},
		{fmt.Errorf("commit: %w", context.DeadlineExceeded), false},
		{fmt.Errorf("read: %w", io.ErrUnexpectedEOF), false},
		{errSilent, false},
	} {
		require.Equal(t, test.ofOne, mayBeOfOne(test.err), "%v", test.err)
	}
}
