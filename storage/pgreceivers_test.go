package storage_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"portalhook/storage/storagetest"
)

func TestReceiversOnPostgres(t *testing.T) {
	t.Parallel()
	all := nodes(t, 3)
	storagetest.TestReceivers(t, all[0], all[1], all[2])
	require.Zero(t, all[0].Number(t, `SELECT count(*) FROM arrival`))
	require.Zero(t, all[0].Number(t, `SELECT count(*) FROM receiver WHERE body LIKE '%body of%'`), "they are sealed")
	require.EqualValues(t, 1, all[0].Number(t, `SELECT count(*) FROM receiver`))
}
