package payload

import "portalhook/triggers"

// Family is whose form an event's payload has by itself, and with it whose signature: Cloud events are signed in the manner of
// Qlik, all others in that of Esri, whatever format a webhook asks for.
type Family uint8

// The families.
const (
	NoFamily       Family = iota
	Portal                // items, groups, users, roles; webhooks, whose events are our own
	FeatureService        // the change types of a feature service
	Geoprocessing         // the end of a job
	Cloud                 // the cloud types
)

// FamilyOf is the family of an event by its URI; NoFamily for the zero URI.
func FamilyOf(uri *triggers.URI) Family {
	switch uri.Resource {
	case triggers.Items, triggers.Groups, triggers.Users, triggers.Roles, triggers.Webhooks:
		return Portal
	case triggers.FeatureServices:
		return FeatureService
	case triggers.Geoprocessing:
		return Geoprocessing
	case triggers.CloudTypes:
		return Cloud
	case triggers.NoResource:
	}
	return NoFamily
}
