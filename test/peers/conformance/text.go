package main

import (
	"encoding/json"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// jsonText writes a value as OPA's API does: a set is an array, a key that is no string stands as its own text.
func jsonText(value ast.Value) (string, error) {
	plain, err := ast.JSON(value)
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(plain)
	return string(text), err
}

// regoText writes a ground term as Rego whose strings are JSON's: a term's own text has escapes of Go, which no other reader
// of Rego knows.
func regoText(term *ast.Term) string {
	var out strings.Builder
	writeTerm(&out, term)
	return out.String()
}

func writeTerm(out *strings.Builder, term *ast.Term) {
	switch value := term.Value.(type) {
	case ast.String:
		encoded, err := json.Marshal(string(value))
		if err != nil {
			// Every string can be written as JSON.
			panic(err)
		}
		out.Write(encoded)
	case *ast.Array:
		writeAll(out, "[", "]", value.Len(), func(i int) { writeTerm(out, value.Elem(i)) })
	case ast.Set:
		if value.Len() == 0 {
			out.WriteString("set()")
			return
		}
		members := value.Slice()
		writeAll(out, "{", "}", len(members), func(i int) { writeTerm(out, members[i]) })
	case ast.Object:
		keys := value.Keys()
		writeAll(out, "{", "}", len(keys), func(i int) {
			writeTerm(out, keys[i])
			out.WriteByte(':')
			writeTerm(out, value.Get(keys[i]))
		})
	default:
		out.WriteString(term.String())
	}
}

func writeAll(out *strings.Builder, open, end string, count int, one func(i int)) {
	out.WriteString(open)
	for i := range count {
		if i > 0 {
			out.WriteByte(',')
		}
		one(i)
	}
	out.WriteString(end)
}
