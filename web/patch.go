package web

import (
	"crypto/rand"
	"encoding/json" // the patch library's own types; no byte of a body passes through it unchecked
	"errors"
	"fmt"
	"slices"
	"strings"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"github.com/go-json-experiment/json/jsontext"

	"portalhook/triggers"
)

// maxPatchOperations bounds one patch: more than a webhook has members, triggers and headers.
const maxPatchOperations = 200

// operation is one checked operation of a patch.
type operation struct {
	op    string
	path  []string // the tokens of the pointer, unescaped; at least one
	value jsontext.Value
}

// parsePatch reads a JSON patch of the operations add, remove, replace and test, whose paths lie within what a webhook's body sets.
func parsePatch(body jsontext.Value) ([]operation, error) {
	var patch []operation
	if body.Kind() != jsontext.KindBeginArray {
		return nil, triggers.Invalid(triggers.CodeWrongType, "",
			`a patch is an array of operations, such as [{"op":"replace","path":"/enabled","value":true}]`)
	}
	err := eachItem(body, "", func(i int, value jsontext.Value) error {
		if i >= maxPatchOperations {
			return triggers.Invalid(triggers.CodeOutOfRange, "", "a patch has at most %d operations", maxPatchOperations)
		}
		op, err := parseOperation(fmt.Sprintf("[%d]", i), value)
		patch = append(patch, op)
		return err
	})
	return patch, err
}

func parseOperation(field string, value jsontext.Value) (operation, error) {
	var op operation
	var path string
	hasPath := false
	err := eachMember(value, field, func(name string, value jsontext.Value) (err error) {
		switch name {
		case "op":
			op.op, err = textOf(field+".op", value)
		case "path":
			hasPath = true
			path, err = textOf(field+".path", value)
		case "value":
			op.value = slices.Clone(value)
		default:
			err = triggers.Invalid(triggers.CodeUnknownField, field+"."+name, "an operation has op, path and value only")
		}
		return err
	})
	if err != nil {
		return op, err
	}
	switch op.op {
	case "add", "replace", "test":
		if op.value == nil {
			return op, triggers.Invalid(triggers.CodeRequired, field+".value", "the operation %s needs a value", op.op)
		}
	case "remove":
	case "":
		return op, triggers.Invalid(triggers.CodeRequired, field+".op", "an operation needs op: add, remove, replace or test")
	default:
		return op, triggers.Invalid(triggers.CodeNotSupported, field+".op", "the operation is %q; it must be add, remove, replace or test", op.op)
	}
	if !hasPath {
		return op, triggers.Invalid(triggers.CodeRequired, field+".path", "an operation needs a path")
	}
	pointer := jsontext.Pointer(path)
	if path == "" || !pointer.IsValid() {
		return op, triggers.Invalid(codeBadPatch, field+".path", "%q is not a path to a member, such as /enabled", path)
	}
	op.path = slices.Collect(pointer.Tokens())
	return op, op.judge(field + ".path")
}

// judge refuses a path outside of what a body sets.
func (op *operation) judge(field string) error {
	head := op.path[0]
	readOnly := head == "id" || head == "origin" || head == "secretKeyAdded" || head == healthMember || isReadOnly(head)
	switch _, known := members[head]; {
	case readOnly && op.op != "test":
		return &problem{Code: codeReadOnly, Field: field, Index: -1, Detail: head + " is read-only"}
	case !known && !readOnly:
		return triggers.Invalid(triggers.CodeUnknownField, field, "a webhook has no member %q", head)
	}
	return nil
}

// patch applies a patch to w, and judges the result as one. While the patch is applied, what must not be shown is represented by a
// text that nobody can know. A level that is removed goes back to the one given.
func (s *Server) patch(w *triggers.Webhook, patch []operation, level triggers.Level) error {
	before := *w
	kept := "kept-" + rand.Text()
	document := webhookObject(nil, w, func(o *object) {
		o.object("encryptedHeaders", func(o *object) {
			for _, h := range w.EncryptedHeaders {
				o.text(h.Name, kept)
			}
		})
		if w.Secret.IsZero() {
			o.text("secret", "")
		} else {
			o.text("secret", kept)
		}
		if w.Deactivation == nil {
			o.raw("deactivationPolicy", nil)
		}
		if w.Schedule == nil {
			o.raw("schedule", nil)
		}
	})
	patched, err := applyPatch(document, patch, w)
	if err != nil {
		return err
	}
	if err := checkJSON(patched); err != nil {
		return err
	}
	w.Level = level
	d := draft{server: s, w: w, before: &before, kept: kept}
	return d.replace(patched)
}

func applyPatch(document jsontext.Value, patch []operation, w *triggers.Webhook) (jsontext.Value, error) {
	options := jsonpatch.NewApplyOptions()
	options.SupportNegativeIndices = false
	options.EscapeHTML = false
	for i, op := range patch {
		patched, err := jsonpatch.Patch{op.message(w)}.ApplyWithOptions(document, options)
		if err != nil {
			return nil, &problem{Code: codeBadPatch, Field: fmt.Sprintf("[%d]", i), Index: -1, Detail: patchTrouble(&op, err), cause: err}
		}
		document = patched
	}
	return document, nil
}

// patchTrouble says why an operation does not apply, without showing what the document holds.
func patchTrouble(op *operation, err error) string {
	path := "/" + strings.Join(op.path, "/")
	if errors.Is(err, jsonpatch.ErrTestFailed) {
		return path + " does not have this value"
	}
	return "the operation " + op.op + " cannot be applied to " + path
}

// message gives the operation as the library takes it. Header names know no case, so a path to one is spelt as it is stored.
func (op *operation) message(w *triggers.Webhook) jsonpatch.Operation {
	path := slices.Clone(op.path)
	if len(path) == 2 {
		stored := map[string][]triggers.Header{"headers": w.Headers, "encryptedHeaders": w.EncryptedHeaders}[path[0]]
		if i := slices.IndexFunc(stored, func(h triggers.Header) bool { return strings.EqualFold(h.Name, path[1]) }); i >= 0 {
			path[1] = stored[i].Name
		}
	}
	var pointer jsontext.Pointer
	for _, token := range path {
		pointer = pointer.AppendToken(token)
	}
	message := jsonpatch.Operation{"op": raw(textValue(op.op)), "path": raw(textValue(string(pointer)))}
	if op.value != nil {
		message["value"] = raw(op.value)
	}
	return message
}

func raw(value jsontext.Value) *json.RawMessage {
	message := json.RawMessage(value)
	return &message
}
