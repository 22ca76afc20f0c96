package storage

import (
	"database/sql/driver"
	"strings"

	"portalhook/triggers"
)

// jobTables make what the ends of geoprocessing jobs are known by: a job ends once, whatever id its event has.
const jobTables = `
CREATE TABLE job_$day (
  id      INTEGER PRIMARY KEY, -- of the event
  tenant  INTEGER NOT NULL,
  folder  TEXT NOT NULL,       -- folded, like the service
  service TEXT NOT NULL,
  job     TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX job_$day_identity ON job_$day (tenant, folder, service, job);
`

const insertJob = `INSERT INTO job_$day (id, tenant, folder, service, job) VALUES `

// sameJob looks for sixteen jobs at once in the tables of a day; see sameIdentity.
var sameJob = `WITH wanted (t, f, s, j) AS (VALUES (?, ?, ?, ?)` + strings.Repeat(", (?, ?, ?, ?)", rowsAtOnce-1) + `)
  SELECT ended.id, ended.tenant, folder, service, job, matches FROM wanted CROSS JOIN job_$day AS ended
  ON ended.tenant = t AND folder = f AND service = s AND job = j CROSS JOIN event_$day AS told ON told.id = ended.id`

// lookUpJobs finds the jobs that have ended.
func (w *writer) lookUpJobs(suffix string, wanted []driver.Value) error {
	return w.db.each(sameJob, suffix, 6, func(row []driver.Value) error {
		name := triggers.Identity{Folder: textOf(row[2]), Service: textOf(row[3]), Job: textOf(row[4])}
		w.known[identity{uint32(integer(row[1])), name}] = seen{ //nolint:gosec // written from one
			id: triggers.ID(integer(row[0])), matched: countMatches(bytesOf(row[5])),
		}
		return nil
	}, wanted...)
}

// noteJob writes down that the event tells the end of a job.
func (w *writer) noteJob(name identity, event triggers.ID) error {
	jobs, err := w.db.insert(insertJob, suffixOf(dayOf(event)), 5)
	if err != nil {
		return err
	}
	return jobs.add(int64(event), int64(name.tenant), name.Folder, name.Service, name.Job)
}
