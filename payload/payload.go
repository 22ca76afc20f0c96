// Package payload turns accepted events into the signed bytes that a receiver reads.
//
// Render makes of one event the object that stands for it, once, at acceptance. Build puts such objects into the envelope of a
// webhook, Sign makes the headers of an attempt; both are pure, so a body is never stored and always comes out the same.
//
// # Forms
//
// What a receiver reads depends on the family of the event and on the format that its webhook asks for. Where a format has no form
// for a family, the event is sent as with auto.
//
//	              auto                portal              legacy, hybrid      cloudevents
//	portal        portal envelope     portal envelope     portal envelope     CloudEvents
//	services      Enterprise object   Enterprise object   Enterprise object   CloudEvents
//	cloud types   see below           as auto             legacy, hybrid      CloudEvents
//
// With auto a cloud type is sent as CloudEvents to a webhook with cloud event delivery, to any other as hybrid, or as legacy when
// the server is set so. The types that the catalogue marks as cloud only are sent as CloudEvents always.
//
// # Services
//
// Enterprise's objects have all their members always: what is not known is an empty string. The changesUrl is the event's own, or
// <server URL>/rest/services/[<folder>/]<name>/FeatureServer/extractChanges?serverGens=%5B<from>,<to>%5D; the statusURL is the event's
// own, or <server URL>/rest/services/[<folder>/]<name>/GPServer/<task>/jobs/<job>. The date of each event is rounded down to seconds.
// Several events of one feature service make one object: the events in order, the changesUrl over all their serverGens. What became
// of a job is told by its eventType: esriJobSucceeded, esriJobFailed or esriJobCancelled. A webhook that asks for cloudevents has all
// that the backend told as data, with changesUrl or statusURL, the date exact.
//
// # Cloud forms
//
// The id is the sender's eventId, else the server's id of the event; the source is the sender's, else the catalogue's for the type,
// else the portal URL; the tenant is always the portal id. Dates have milliseconds, in UTC. Extensions that CloudEvents allows become
// attributes in lower case, the others stay in a member extensions, where the legacy form has all of them. Data is as it came.
//
// A portal's or a service's event as a CloudEvent has the any form of its trigger as type (/items/share), its URI as subject
// (/items/<id>/share), the portal URL as source, and as data the very object that a portal's envelope holds in events.
//
// # Properties
//
// What receivers are promised of an operation comes first in the event's properties. A backend sends it ready made under its own
// name, or as one of the facts beside it; where the property is ready made nothing else is read, else the first fact that is there.
// A list may be an array or a single element. It keeps the sender's order without duplicates. A fact that was read does not pass
// through; every other member does, untouched and in the sender's order.
//
//	items/share                  sharedToGroups            access, groups
//	items/unshare                unsharedFromGroups        access, groups
//	items/reassign               reassignedTo              newOwner
//	groups/reassign              reassignedTo (optional)   newOwner
//	groups/invite                invitedUserNames          users, username
//	groups/addUsers              addedUserNames            users, username
//	groups/removeUsers           removedUserNames          users, username
//	groups/updateUsers           updatedUserNames          users, username
//	groups/itemShare             sharedItems               items, item
//	groups/itemUnshare           unsharedItems             items, item
//	users/updateUserRole         userRoleUpdatedTo         role, roleName
//	users/updateUserLicenseType  userLicenseTypeUpdatedTo  licenseType, userLicenseType
//	roles/add                    name                      role, roleName
//
// The access is whom an item was given to, or taken from: public is Everyone, org is Organization, shared and private are nobody
// beside the groups. From facts the order is Everyone, Organization, the groups. In sharing nobody is an answer (private without
// groups, or an empty list) and gives an empty array; shared must name a group; every other list must not be empty.
//
// An item is an object with itemId and itemType, or id and type; its further members follow these two. It is known by its id.
package payload

import (
	"slices"

	"portalhook/triggers"
)

// Version is the builder's version. Bytes of a delivery must come out the same for ever, so a change of any builder's output
// takes a new number and leaves the old path in place.
//
// Version 1 knew the portal's envelope only; version 2 makes the same of portal events and knows every family and format.
const Version = 2

// Revision is what a webhook contributes to its payloads and to its history, fixed when its deliveries are made. It is stored
// once per change of a webhook, as JSON.
type Revision struct {
	Number      int64              `json:"-"` // the store's
	Builder     int                `json:"builder"`
	WebhookID   triggers.WebhookID `json:"webhookId"`
	WebhookName string             `json:"webhookName"`
	PortalURL   string             `json:"portalUrl"`
	Format      triggers.Format    `json:"format"`
	// EnableCloudEventDelivery chooses CloudEvents for cloud types where the format leaves it to the event.
	EnableCloudEventDelivery bool `json:"enableCloudEventDelivery,omitzero"`
	// LegacyCloud is a setting of the server: legacy in place of hybrid for cloud types without CloudEvents.
	LegacyCloud bool `json:"legacyCloud,omitzero"`
	// ServerURL is where the tenant's services are, with or without a slash at the end; empty: none of their addresses is built.
	ServerURL string `json:"serverUrl,omitzero"`
	// PortalID is the tenant that receivers of cloud events are told.
	PortalID string `json:"portalId,omitzero"`
	// SingularSource is the tenant's: `item` in place of `items` as the source of a portal's events, and likewise of the others.
	SingularSource bool `json:"singularSource,omitzero"`

	Triggers []string `json:"triggers"`
	URL      string   `json:"url"`
	// Headers are shown in the history: name and value, the value of an encrypted one as **OMITTED**.
	Headers [][2]string `json:"headers,omitempty"`
}

// Equal reports whether two revisions lead to the same payloads and the same history: whether they are equal but for their numbers.
func (r *Revision) Equal(other *Revision) bool {
	return r.Builder == other.Builder && r.WebhookID == other.WebhookID && r.WebhookName == other.WebhookName &&
		r.PortalURL == other.PortalURL && r.Format == other.Format && r.EnableCloudEventDelivery == other.EnableCloudEventDelivery &&
		r.LegacyCloud == other.LegacyCloud && r.ServerURL == other.ServerURL && r.PortalID == other.PortalID && r.URL == other.URL &&
		r.SingularSource == other.SingularSource &&
		slices.Equal(r.Triggers, other.Triggers) && slices.Equal(r.Headers, other.Headers)
}

// Event is a stored event as payloads need it.
type Event struct {
	ID      triggers.ID
	EventID string // the sender's, empty when it gave none
	Source  string // part of the event's identity; the source that receivers are told is in Body
	URI     triggers.URI
	// Body is what Render gave at acceptance.
	Body []byte
}
