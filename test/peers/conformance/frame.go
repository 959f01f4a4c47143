package main

import (
	"encoding/binary"
	"encoding/json"
	"io"
)

// frame is what is said of one case: the lengths of three parts, four bytes each, the highest first, and then the parts: a
// head in JSON, the wasm module and the plan. The last two are empty where the case does not compile.
type frame struct {
	head head
	wasm []byte
	plan []byte
}

// head holds Rego values as texts, so that no reader rounds a number by accident.
type head struct {
	// Name is unique in the suite: v0/ or v1/ and OPA's note.
	Name string `json:"name"`
	// Query is what was compiled; its one row binds `result`.
	Query string `json:"query,omitempty"`
	// Variable is set where the result is the value of this variable and undefined is no row; else it is the set of rows.
	Variable string `json:"variable,omitempty"`
	// Input is a Rego term, absent where there is none.
	Input *string `json:"input,omitempty"`
	// Data is a JSON object.
	Data string `json:"data"`
	// Want is a JSON array of rows, absent where an error is wanted.
	Want *string `json:"want,omitempty"`
	// WantDefined is what OPA's cases say of there being a row.
	WantDefined *bool  `json:"wantDefined,omitempty"`
	WantError   string `json:"wantError,omitempty"`
	// IsStrict says that the error is only one where a builtin's error ends the evaluation.
	IsStrict     bool `json:"isStrict,omitempty"`
	SortBindings bool `json:"sortBindings,omitempty"`
	// Answer is a JSON array of rows as OPA's interpreter gives them where a builtin's error is undefined.
	Answer *string `json:"answer,omitempty"`
	// AnswerError is the code of the error that it gave instead.
	AnswerError string `json:"answerError,omitempty"`
	// Refused says why it does not compile with the capabilities of the host.
	Refused string `json:"refused,omitempty"`
	// Missing names the builtins that it lacks, where that is all.
	Missing []string `json:"missing,omitempty"`
}

func (f *frame) write(out io.Writer) error {
	text, err := json.Marshal(f.head)
	if err != nil {
		return err
	}
	parts := [][]byte{text, f.wasm, f.plan}
	for _, part := range parts {
		if err := binary.Write(out, binary.BigEndian, uint32(len(part))); err != nil {
			return err
		}
	}
	for _, part := range parts {
		if _, err := out.Write(part); err != nil {
			return err
		}
	}
	return nil
}
