package payload

import (
	"strings"

	"portalhook/triggers"
)

// property is what the documentation promises receivers of an operation in the event's properties: always an array.
type property struct {
	// name is its name in the payload, and under it a backend sends it ready made.
	name string
	// facts are the names under which a backend may send the same as a plain fact. The first that is there is read.
	facts []string
	// things says in messages what the array holds.
	things string
	// items says that the array holds items with id and type, not strings.
	items bool
	// sharing says that the facts are access and groups, and that nobody is an answer.
	sharing bool
	// optional says that an event may come without.
	optional bool
}

// The properties of arcgis.md section 7. Package payload's comment lists them for people.
var (
	sharedToGroups     = property{name: "sharedToGroups", things: shares, sharing: true}
	unsharedFromGroups = property{name: "unsharedFromGroups", things: shares, sharing: true}

	itemReassignedTo  = property{name: "reassignedTo", things: userNames, facts: ownerFacts}
	groupReassignedTo = property{name: "reassignedTo", things: userNames, facts: ownerFacts, optional: true}

	invitedUserNames = property{name: "invitedUserNames", things: userNames, facts: userFacts}
	addedUserNames   = property{name: "addedUserNames", things: userNames, facts: userFacts}
	removedUserNames = property{name: "removedUserNames", things: userNames, facts: userFacts}
	updatedUserNames = property{name: "updatedUserNames", things: userNames, facts: userFacts}

	sharedItems   = property{name: "sharedItems", things: itemObjects, facts: itemFacts, items: true}
	unsharedItems = property{name: "unsharedItems", things: itemObjects, facts: itemFacts, items: true}

	userRoleUpdatedTo        = property{name: "userRoleUpdatedTo", things: roleNames, facts: roleFacts}
	userLicenseTypeUpdatedTo = property{name: "userLicenseTypeUpdatedTo", things: "user types", facts: licenceFacts}
	roleName                 = property{name: "name", things: roleNames, facts: roleFacts}
)

const (
	shares      = "group ids, Everyone and Organization"
	userNames   = "user names"
	itemObjects = "objects with itemId and itemType"
	roleNames   = "role names"

	accessFact = "access"
	groupsFact = "groups"
)

var (
	ownerFacts   = []string{"newOwner"} // not owner: that may well be the old one
	userFacts    = []string{"users", "username"}
	itemFacts    = []string{"items", "item"}
	roleFacts    = []string{"role", "roleName"}
	licenceFacts = []string{"licenseType", "userLicenseType"}
)

// operations is how many a resource can have: the bits of an OpSet.
const operations = 32

// properties are what each operation carries; nil for those that carry nothing of their own.
var properties = [triggers.ResourceCount][operations]*property{
	triggers.Items: {
		triggers.ItemsShare:    &sharedToGroups,
		triggers.ItemsUnshare:  &unsharedFromGroups,
		triggers.ItemsReassign: &itemReassignedTo,
	},
	triggers.Groups: {
		triggers.GroupsInvite:      &invitedUserNames,
		triggers.GroupsAddUsers:    &addedUserNames,
		triggers.GroupsRemoveUsers: &removedUserNames,
		triggers.GroupsUpdateUsers: &updatedUserNames,
		triggers.GroupsReassign:    &groupReassignedTo,
		triggers.GroupsItemShare:   &sharedItems,
		triggers.GroupsItemUnshare: &unsharedItems,
	},
	triggers.Users: {
		triggers.UsersUpdateUserRole:        &userRoleUpdatedTo,
		triggers.UsersUpdateUserLicenseType: &userLicenseTypeUpdatedTo,
	},
	triggers.Roles: {
		triggers.RolesAdd: &roleName,
	},
}

// appendTo appends the event's properties: the built one first, then every other member as the sender wrote it and in the sender's
// order. sent is the sender's object, nil when there was none. The error is a *triggers.FieldError.
func (p *property) appendTo(dst, sent []byte) ([]byte, error) {
	var room [8]member
	all := room[:0]
	if len(sent) > 0 {
		var err error
		if all, err = members(all, sent); err != nil {
			return dst, triggers.Invalid(triggers.CodeNotJSON, "properties", "is not a JSON object: %v", err)
		}
	}
	dst = append(dst, '{')
	start := len(dst)
	dst, err := p.appendBuilt(dst, all)
	if err != nil {
		return dst, err
	}
	return append(appendOthers(dst, start, all), '}'), nil
}

// appendBuilt appends the property itself, name and array, and takes what it was built from out of all. With the property ready
// made nothing else is taken: what is a fact otherwise then passes as it is.
func (p *property) appendBuilt(dst []byte, all []member) ([]byte, error) {
	list := array{property: p, dst: dst}
	if ready := take(all, p.name); ready != nil {
		return list.build(p.name, ready)
	}
	if p.sharing {
		return list.buildSharing(take(all, accessFact), take(all, groupsFact))
	}
	for _, name := range p.facts {
		if fact := take(all, name); fact != nil {
			return list.build(name, fact)
		}
	}
	if p.optional {
		return dst, nil
	}
	return dst, p.missing()
}

func (p *property) missing() error {
	facts := "one of the facts " + strings.Join(p.facts, " and ")
	if len(p.facts) == 1 {
		facts = "the fact " + p.facts[0]
	}
	if p.sharing {
		facts = "the facts access (public, org, shared or private) and groups"
	}
	return triggers.Invalid(triggers.CodeMissing, whole(p.name).String(), "this operation needs %s, an array of %s, or %s", p.name, p.things, facts)
}

// take gives the value of the member with the name and blanks it, so that appendOthers passes it over; nil when there is none.
func take(all []member, name string) []byte {
	for i, m := range all {
		if m.is(name) {
			all[i] = member{}
			return m.value
		}
	}
	return nil
}

// appendOthers appends the members that are left, with a comma before the first when something stands between start and the end.
func appendOthers(dst []byte, start int, all []member) []byte {
	for _, m := range all {
		if m.name == nil {
			continue
		}
		if len(dst) > start {
			dst = append(dst, ',')
		}
		dst = append(dst, m.name...)
		dst = append(dst, ':')
		dst = append(dst, m.value...)
	}
	return dst
}
