package model

// Table is the rows by id.
type Table struct {
	// Profiles maps the ARNs that hide a model (application inference profiles,
	// provisioned throughput, imported and custom models) to a model id.
	Profiles map[string]string
	// Account is the only account whose ARNs resolve; empty: any, and the
	// caller checks Ref.Account.
	Account string

	rows map[string]*Model
}
