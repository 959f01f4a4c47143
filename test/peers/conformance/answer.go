package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// answer never fails: what goes wrong is why the case cannot be asked.
func answer(q *question, capabilities *ast.Capabilities) *frame {
	result := &frame{}
	err := q.describe(&result.head)
	if err == nil {
		err = build(q, capabilities, result)
	}
	if err != nil {
		result.wasm, result.plan = nil, nil
		result.head.Refused = strings.ReplaceAll(err.Error(), "\n", " ")
		result.head.Missing = missing(err)
	}
	return result
}

func build(q *question, capabilities *ast.Capabilities, to *frame) (err error) {
	// The compiler panics where OPA itself would too; the case then names it.
	defer func() {
		if fault := recover(); fault != nil {
			err = fmt.Errorf("panic: %v", fault)
		}
	}()
	if len(q.Env) > 0 {
		return errors.New("it sets the environment, which no policy sees here")
	}
	allowed := *capabilities
	if q.ExperimentalKeywords {
		allowed.FutureKeywords = ast.CapabilitiesForThisVersion(ast.CapabilitiesExperimentalKeywords(true)).FutureKeywords
	}
	compiler, err := q.compile(&allowed)
	if err != nil {
		return err
	}
	body, err := q.body(&allowed)
	if err != nil {
		return err
	}
	if err := ask(q, compiler, body, &to.head); err != nil {
		return err
	}
	wrapped, variable := wrap(body)
	to.head.Query, to.head.Variable = wrapped.String(), variable
	ctx := context.Background()
	module, err := rego.New(rego.Compiler(compiler), rego.ParsedQuery(wrapped)).Compile(ctx)
	if err != nil {
		return err
	}
	_, err = rego.New(rego.Compiler(compiler), rego.ParsedQuery(wrapped), rego.Target(planTarget)).PrepareForEval(ctx)
	plan, isPlanned := errors.AsType[*planned](err)
	if !isPlanned {
		return err
	}
	to.wasm = module.Bytes
	to.plan, err = json.Marshal(plan.policy)
	return err
}

func (q *question) compile(capabilities *ast.Capabilities) (*ast.Compiler, error) {
	options := ast.ParserOptions{RegoVersion: q.version, Capabilities: capabilities}
	modules := map[string]*ast.Module{}
	for i, text := range q.Modules {
		name := fmt.Sprintf("module-%d.rego", i)
		module, err := ast.ParseModuleWithOpts(name, text, options)
		if err != nil {
			return nil, err
		}
		modules[name] = module
	}
	compiler := ast.NewCompiler().WithCapabilities(capabilities).WithDefaultRegoVersion(q.version)
	if compiler.Compile(modules); compiler.Failed() {
		return nil, compiler.Errors
	}
	return compiler, nil
}

func (q *question) body(capabilities *ast.Capabilities) (ast.Body, error) {
	return ast.ParseBodyWithOpts(q.Query, ast.ParserOptions{RegoVersion: ast.RegoV1, Capabilities: capabilities})
}

// A generated case may be one that runs for hours.
const patience = 20 * time.Second

// ask has OPA's interpreter answer, as it does outside of its strict mode.
func ask(q *question, compiler *ast.Compiler, body ast.Body, to *head) error {
	ctx := context.Background()
	compiled := compiler.QueryCompiler()
	query, err := compiled.Compile(body.Copy())
	if err != nil {
		return err
	}
	input, err := q.input()
	if err != nil {
		return err
	}
	store := inmem.NewFromObject(q.data())
	txn := storage.NewTransactionOrDie(ctx, store)
	defer store.Abort(ctx, txn)
	cancel := topdown.NewCancel()
	defer time.AfterFunc(patience, cancel.Cancel).Stop()
	rows, err := topdown.NewQuery(query).WithCompiler(compiler).WithStore(store).WithTransaction(txn).WithInput(input).
		WithCancel(cancel).Run(ctx)
	if err != nil {
		if topdown.IsCancel(err) {
			return fmt.Errorf("OPA itself does not end within %v", patience)
		}
		to.AnswerError = err.Error()
		if known, isKnown := errors.AsType[*topdown.Error](err); isKnown {
			to.AnswerError = known.Code
		}
		return nil
	}
	set := ast.NewSet()
	for _, row := range rows {
		object := ast.NewObject()
		for name, value := range row {
			if written, isRewritten := compiled.RewrittenVars()[name]; isRewritten {
				name = written
			}
			if !name.IsGenerated() && !name.IsWildcard() {
				object.Insert(ast.StringTerm(string(name)), value)
			}
		}
		set.Add(ast.NewTerm(object))
	}
	text, err := jsonText(set)
	to.Answer = &text
	return err
}

func missing(err error) []string {
	all, isList := errors.AsType[ast.Errors](err)
	if !isList {
		return nil
	}
	var names []string
	seen := map[string]bool{}
	for _, each := range all {
		name, isMissing := strings.CutPrefix(each.Message, "undefined function ")
		if !isMissing {
			return nil
		}
		if !seen[name] {
			seen[name] = true
			names = append(names, name)
		}
	}
	return names
}
