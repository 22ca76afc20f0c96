package triggers

// Identity is what makes two events of a tenant the same event: the source and the id that the sender gave, or, of the end of a
// geoprocessing job, the service and the job, whatever id the sender gave. Compared with ==; the zero Identity is that of an event
// without one, which is the same as no other.
type Identity struct {
	Source, ID string
	// Folder and Service are folded, since services are compared so; Job is compared as it is.
	Folder, Service, Job string
}

// Identity is the event's.
func (ev *Event) Identity() Identity {
	if ev.URI.Resource == Geoprocessing && ev.Service != nil && ev.Service.JobID != "" {
		return Identity{Folder: ev.URI.FolderKey(), Service: ev.URI.Key(), Job: ev.Service.JobID}
	}
	if ev.EventID == "" {
		return Identity{}
	}
	return Identity{Source: ev.Source, ID: ev.EventID}
}

// IsZero reports whether the event has no identity.
func (i Identity) IsZero() bool { return i == Identity{} }

// OfJob reports whether it is that of a geoprocessing job, which ends once: what a second event for it says does not count.
func (i Identity) OfJob() bool { return i.Job != "" }
