package storage_test

import (
	"database/sql"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"portalhook/storage"
)

// BenchmarkOverview reads what the overview shows of a week in which a thousand webhooks had attempts in every hour, and the summaries
// of a page of a hundred of them.
func BenchmarkOverview(b *testing.B) {
	const webhooks, week = 1000, 7 * 24
	store, made, path := benchStore(b, webhooks, time.Now)
	now := time.Now()
	db, err := sql.Open("sqlite3", path)
	require.NoError(b, err)
	for _, statement := range []string{
		`WITH RECURSIVE h (n) AS (SELECT ?1 UNION ALL SELECT n + 1 FROM h WHERE n < ?2) INSERT INTO hour
		  (hour, webhook, attempts, succeeded, failed, exhausted, latency, took_us, last_ms, last_id, last_state, last_status)
		  SELECT n, key, 20, 18, 2, 1, x'000204060800000000000000000000', 123456, n * 3600000, n * 1000, 2, 200 FROM h CROSS JOIN webhook`,
		`WITH RECURSIVE h (n) AS (SELECT ?1 UNION ALL SELECT n + 1 FROM h WHERE n < ?2) INSERT INTO tenant_hour
		  SELECT 1, n, 20, 18, 2, 1, 20, 18, 2, 1, 0, 123456, x'000204060800000000000000000000' FROM h`,
	} {
		_, err := db.ExecContext(b.Context(), statement, now.Unix()/3600-week, now.Unix()/3600)
		require.NoError(b, err)
	}
	require.NoError(b, db.Close())
	read := func(name string, read func(*storage.Store) (int, error), want int) {
		b.Run(name, func(b *testing.B) {
			used := processorTime(b)
			for b.Loop() {
				n, err := read(store)
				require.NoError(b, err)
				require.Equal(b, want, n)
			}
			b.ReportMetric(float64((processorTime(b)-used).Microseconds())/1000/float64(b.N), "cpu-ms/op")
		})
	}
	read("hours", func(s *storage.Store) (int, error) {
		list, err := s.TenantHours(b.Context(), made[0].Tenant, now.Add(-week*time.Hour), now)
		return len(list), err
	}, week+1)
	read("totals", func(s *storage.Store) (int, error) {
		list, err := s.WebhookTotals(b.Context(), made[0].Tenant, now.Add(-24*time.Hour), now)
		return len(list), err
	}, webhooks)
	read("open", func(s *storage.Store) (int, error) {
		open, err := s.OpenWork(b.Context(), made[0].Tenant)
		return int(open.Waiting), err
	}, 0)
	keys := make([]uint32, 100)
	for i := range keys {
		keys[i] = made[i*10].Key
	}
	read("summaries", func(s *storage.Store) (int, error) {
		list, err := s.Summaries(b.Context(), keys, now.Add(-24*time.Hour), now)
		return len(list), err
	}, len(keys))
}
