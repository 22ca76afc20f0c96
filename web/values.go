package web

import (
	"bytes"
	"errors"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"portalhook/triggers"
)

// The functions here read values whose syntax readJSON has checked; what can be wrong is the type, and the error names the field.

// eachMember calls visit for every member of an object, in order. value is good until visit returns.
func eachMember(object jsontext.Value, field string, visit func(name string, value jsontext.Value) error) error {
	decoder := jsontext.NewDecoder(bytes.NewReader(object))
	if decoder.PeekKind() != jsontext.KindBeginObject {
		return wrongType(field, "an object", object)
	}
	if _, err := decoder.ReadToken(); err != nil {
		return syntaxProblem(err, object)
	}
	for decoder.PeekKind() != jsontext.KindEndObject {
		name, err := decoder.ReadToken()
		if err != nil {
			return syntaxProblem(err, object)
		}
		text := name.String()
		value, err := decoder.ReadValue()
		if err != nil {
			return syntaxProblem(err, object)
		}
		if err := visit(text, value); err != nil {
			return err
		}
	}
	return nil
}

// eachItem calls visit for every item of an array, in order. value is good until visit returns.
func eachItem(array jsontext.Value, field string, visit func(i int, value jsontext.Value) error) error {
	decoder := jsontext.NewDecoder(bytes.NewReader(array))
	if decoder.PeekKind() != jsontext.KindBeginArray {
		return wrongType(field, "an array", array)
	}
	if _, err := decoder.ReadToken(); err != nil {
		return syntaxProblem(err, array)
	}
	for i := 0; decoder.PeekKind() != jsontext.KindEndArray; i++ {
		value, err := decoder.ReadValue()
		if err != nil {
			return syntaxProblem(err, array)
		}
		if err := visit(i, value); err != nil {
			return err
		}
	}
	return nil
}

func textOf(field string, value jsontext.Value) (string, error) {
	if value.Kind() != jsontext.KindString {
		return "", wrongType(field, "a string", value)
	}
	text, err := jsontext.AppendUnquote(nil, value)
	if err != nil {
		return "", wrongType(field, "a string", value)
	}
	return string(text), triggers.CheckText(field, string(text))
}

func boolOf(field string, value jsontext.Value) (bool, error) {
	kind := value.Kind()
	if kind != jsontext.KindTrue && kind != jsontext.KindFalse {
		return false, wrongType(field, "true or false", value)
	}
	return kind == jsontext.KindTrue, nil
}

func intOf(field string, value jsontext.Value) (int, error) {
	if value.Kind() != jsontext.KindNumber {
		return 0, wrongType(field, "a whole number", value)
	}
	switch n, err := strconv.ParseInt(string(value), 10, 32); {
	case errors.Is(err, strconv.ErrRange):
		return 0, triggers.Invalid(triggers.CodeOutOfRange, field, "%s is not a whole number of 32 bits", value)
	case err != nil:
		return 0, triggers.Invalid(triggers.CodeWrongType, field, "%s is not a whole number, written with digits alone", value)
	default:
		return int(n), nil
	}
}

func textsOf(field string, value jsontext.Value) ([]string, error) {
	var texts []string
	err := eachItem(value, field, func(i int, value jsontext.Value) error {
		text, err := textOf(field+"["+strconv.Itoa(i)+"]", value)
		texts = append(texts, text)
		return err
	})
	return texts, err
}

// headersOf reads an object of header names and values, in order.
func headersOf(field string, value jsontext.Value) ([]triggers.Header, error) {
	var headers []triggers.Header
	err := eachMember(value, field, func(name string, value jsontext.Value) error {
		text, err := textOf(field+"."+name, value)
		headers = append(headers, triggers.Header{Name: name, Value: triggers.NewSecret(text)})
		return err
	})
	return headers, err
}

// wrongType says what a value should be and what it is.
func wrongType(field, want string, value jsontext.Value) error {
	if field == "" {
		return triggers.Invalid(triggers.CodeWrongType, "", "the body must be %s, and is %s", want, kindName(value))
	}
	return triggers.Invalid(triggers.CodeWrongType, field, "%s must be %s, and is %s", field, want, kindName(value))
}

func kindName(value jsontext.Value) string {
	switch value.Kind() {
	case jsontext.KindBeginObject:
		return "an object"
	case jsontext.KindBeginArray:
		return "an array"
	case jsontext.KindString:
		return "a string"
	case jsontext.KindNumber:
		return "a number"
	case jsontext.KindTrue, jsontext.KindFalse:
		return "a boolean"
	case jsontext.KindNull, jsontext.KindInvalid, jsontext.KindEndObject, jsontext.KindEndArray:
	}
	return "null"
}
