package main

import (
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"gatehouse/internal/config"
)

// flagError puts what the parser of flags says into our words.
func flagError(c *cobra.Command, err error) error {
	see := "see `" + c.CommandPath() + " --help`"
	var (
		unknown *pflag.NotExistError
		missing *pflag.ValueRequiredError
		bad     *pflag.InvalidValueError
	)
	switch {
	case errors.As(err, &unknown) && unknown.GetSpecifiedShortnames() != "":
		return fmt.Errorf("unknown flag -%s: %s", clean(unknown.GetSpecifiedShortnames()), see)
	case errors.As(err, &unknown):
		name := unknown.GetSpecifiedName()
		if near := config.Nearest(name, flagNames(c)); near != "" {
			see = "did you mean --" + near + "?"
		}
		return fmt.Errorf("unknown flag --%s: %s", clean(name), see)
	case errors.As(err, &missing):
		return fmt.Errorf("--%s needs a value: %s", missing.GetSpecifiedName(), see)
	case errors.As(err, &bad):
		return fmt.Errorf("--%s: bad value %q: %s", bad.GetFlag().Name, bad.GetValue(), valueHint(bad.GetFlag(), bad.Unwrap()))
	}
	return fmt.Errorf("%w: %s", err, see)
}

// valueHint says what a flag takes.
func valueHint(f *pflag.Flag, cause error) string {
	switch f.Value.Type() {
	case "bool":
		return "write true or false, or the flag alone"
	case "uint64":
		return "write a whole number"
	case "float64":
		return "write a number"
	}
	return cause.Error()
}

func flagNames(c *cobra.Command) []string {
	var names []string
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			names = append(names, f.Name)
		}
	})
	return names
}

// mayBeEmpty marks the flags to which an empty value means something.
const mayBeEmpty = "gatehouse_may_be_empty"

// notEmpty refuses flags that were given without a value. They come from a
// variable that is not set, and must not mean what leaving them out means: a
// key without --models may call all of them.
func notEmpty(c *cobra.Command) error {
	var errs []error
	c.Flags().Visit(func(f *pflag.Flag) {
		if _, ok := f.Annotations[mayBeEmpty]; !ok && f.NoOptDefVal == "" && isEmpty(f.Value) {
			errs = append(errs, fmt.Errorf("--%s is empty: give it a value, or leave it out", f.Name))
		}
	})
	return errors.Join(errs...)
}

func isEmpty(v pflag.Value) bool {
	if list, ok := v.(pflag.SliceValue); ok {
		items := list.GetSlice()
		return len(items) == 0 || slices.Contains(items, "")
	}
	return v.String() == ""
}

// required refuses to run without the flag.
func required(c *cobra.Command, name string) {
	c.MarkFlagRequired(name) // for completion
	demand(c, func() error {
		if !c.Flags().Changed(name) {
			return fmt.Errorf("--%s is missing: see `%s --help`", name, c.CommandPath())
		}
		return nil
	})
}

// exclusive refuses the two flags together.
func exclusive(c *cobra.Command, a, b string) {
	c.MarkFlagsMutuallyExclusive(a, b) // for completion
	demand(c, func() error {
		if c.Flags().Changed(a) && c.Flags().Changed(b) {
			return fmt.Errorf("--%s and --%s exclude each other: give one of them", a, b)
		}
		return nil
	})
}

// together refuses one of the two flags without the other.
func together(c *cobra.Command, a, b string) {
	c.MarkFlagsRequiredTogether(a, b) // for completion
	demand(c, func() error {
		if c.Flags().Changed(a) != c.Flags().Changed(b) {
			return fmt.Errorf("--%s and --%s go together: give both, or neither", a, b)
		}
		return nil
	})
}

// demand adds a check to that of the arguments, which comes before those of
// the library, whose words it stands for.
func demand(c *cobra.Command, check func() error) {
	before := c.Args
	c.Args = func(c *cobra.Command, args []string) error {
		if err := before(c, args); err != nil {
			return err
		}
		return check()
	}
}
