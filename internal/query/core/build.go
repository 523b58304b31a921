package core

// Constructors. Each takes arguments of the types that its op is for; Check
// finds those that are not.

func C(name string, t Type) *Expr { return &Expr{Op: Column, Type: t, Name: name} }
func Str(s string) *Expr          { return &Expr{Op: Const, Type: Text, S: s} }
func IntOf(n int64) *Expr         { return &Expr{Op: Const, Type: Int, N: n} }
func Num(f float64) *Expr         { return &Expr{Op: Const, Type: Float, F: f} }
func NullOf(t Type) *Expr         { return &Expr{Op: Const, Type: t, Name: "null"} }

// BoolOf is a predicate that is a constant.
func BoolOf(b bool) *Expr {
	e := &Expr{Op: Const, Type: Bool}
	if b {
		e.N = 1
	}
	return e
}

// IsNullConst says that e is the constant null of any type.
func (e *Expr) IsNullConst() bool { return e.Op == Const && (e.Type == Null || e.Name == "null") }

// Do applies an op whose type follows from the table.
func Do(op Op, args ...*Expr) *Expr { return &Expr{Op: op, Type: resultType(op, args), Args: args} }

func resultType(op Op, args []*Expr) Type {
	if op.Predicate() {
		return Bool
	}
	switch op {
	case If:
		return args[1].Type
	case Coalesce:
		return args[0].Type
	case ToNum, ToFloat, Add, Sub, Mul, Div, Mod, Math:
		return Float
	case ToInt, Length, HexToInt, ListLen, JSONLen, IPv4Num, TimeBucket, ParseTime:
		return Int
	case FindAllRe:
		return List
	}
	return Text
}

// Walk calls f for e and all below it.
func Walk(e *Expr, f func(*Expr)) {
	if e == nil {
		return
	}
	f(e)
	for _, a := range e.Args {
		Walk(a, f)
	}
}
