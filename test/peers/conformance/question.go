package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/test/cases"
)

// question is a case with the version of Rego that it is written in.
type question struct {
	cases.TestCase
	name    string
	version ast.RegoVersion
}

func readSuite(folder string) ([]*question, error) {
	var all []*question
	seen := map[string]int{}
	for _, version := range []ast.RegoVersion{ast.RegoV0, ast.RegoV1} {
		room := map[ast.RegoVersion]string{ast.RegoV0: "v0", ast.RegoV1: "v1"}[version]
		set, err := cases.Load(filepath.Join(folder, room))
		if err != nil {
			return nil, err
		}
		for _, each := range set.Cases {
			name := room + "/" + each.Note
			// A few notes stand twice.
			if seen[name]++; seen[name] > 1 {
				name = fmt.Sprintf("%s (%d)", name, seen[name])
			}
			all = append(all, &question{TestCase: each, name: name, version: version})
		}
	}
	return all, nil
}

// input gives the input as a term; nil is none.
func (q *question) input() (*ast.Term, error) {
	if q.InputTerm != nil {
		return ast.ParseTerm(*q.InputTerm)
	}
	if q.Input == nil {
		return nil, nil
	}
	value, err := ast.InterfaceToValue(*q.Input)
	if err != nil {
		return nil, err
	}
	return ast.NewTerm(value), nil
}

// describe fills in what the case itself says.
func (q *question) describe(to *head) error {
	to.Name = q.name
	to.IsStrict = q.StrictError
	to.SortBindings = q.SortBindings
	to.WantDefined = q.WantDefined
	data, err := json.Marshal(q.data())
	if err != nil {
		return err
	}
	to.Data = string(data)
	if q.WantErrorCode != nil {
		to.WantError = *q.WantErrorCode
	} else if q.WantError != nil {
		to.WantError = *q.WantError
	}
	if q.WantResult != nil && to.WantError == "" {
		rows := ast.NewSet()
		for _, row := range *q.WantResult {
			object := ast.NewObject()
			for name, each := range row {
				value, err := ast.InterfaceToValue(each)
				if err != nil {
					return err
				}
				object.Insert(ast.StringTerm(name), ast.NewTerm(value))
			}
			rows.Add(ast.NewTerm(object))
		}
		want, err := jsonText(rows)
		if err != nil {
			return err
		}
		to.Want = &want
	}
	input, err := q.input()
	if err != nil || input == nil {
		return err
	}
	text := regoText(input)
	to.Input = &text
	return nil
}

func (q *question) data() map[string]any {
	if q.Data == nil {
		return map[string]any{}
	}
	return *q.Data
}
