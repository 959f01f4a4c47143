package main

import (
	"context"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/ir"
	"github.com/open-policy-agent/opa/v1/rego"
)

const result = ast.Var("result")

// wrap makes of any query one that binds `result` alone. `data.a.b = x` becomes `result = data.a.b`, which is what
// `opa build -e a/b` compiles; every other one becomes the set of its rows. A rule in a module would be shorter, but a query
// for all of `data` would then ask for itself.
func wrap(body ast.Body) (ast.Body, string) {
	to := ast.NewTerm(result)
	if reference, variable, isPlain := plain(body); isPlain {
		return ast.NewBody(ast.Equality.Expr(to, reference)), string(variable)
	}
	row := ast.NewObject()
	seen := body.Vars(ast.VarVisitorParams{SkipRefCallHead: true, SkipClosures: true}).Diff(ast.ReservedVars)
	for _, each := range seen.Sorted() {
		if !each.IsGenerated() && !each.IsWildcard() {
			row.Insert(ast.StringTerm(string(each)), ast.NewTerm(each))
		}
	}
	return ast.NewBody(ast.Equality.Expr(to, ast.SetComprehensionTerm(ast.NewTerm(row), body.Copy()))), ""
}

func plain(body ast.Body) (*ast.Term, ast.Var, bool) {
	if len(body) != 1 || !body[0].IsEquality() || body[0].Negated || len(body[0].With) > 0 {
		return nil, "", false
	}
	left, right := body[0].Operand(0), body[0].Operand(1)
	reference, isReference := left.Value.(ast.Ref)
	variable, isVariable := right.Value.(ast.Var)
	if !isReference || !isVariable || variable.IsWildcard() || !reference.IsGround() {
		return nil, "", false
	}
	return left, variable, true
}

// planTarget makes OPA plan a query and hand the plan over.
const planTarget = "sluice-plan"

func init() { rego.RegisterPlugin(planTarget, planner{}) }

type planner struct{}

func (planner) IsTarget(name string) bool { return name == planTarget }

func (planner) PrepareForEval(_ context.Context, policy *ir.Policy, _ ...rego.PrepareOption) (rego.TargetPluginEval, error) {
	return nil, &planned{policy}
}

// planned carries the plan out of the preparation, which has no other way for it.
type planned struct{ policy *ir.Policy }

func (*planned) Error() string { return "planned" }
