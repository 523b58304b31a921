// Package model is the table of models: what each is called, how its bodies
// are shaped, what it costs and how much it may answer.
//
// The table is the embedded models.json; a site changes prices with
// [Table.WithPrices]. [Table.Resolve] turns any of the ways to name a model in
// a path (a base id, a geo profile, an ARN) into one [Ref] whose ID is the base
// id, so that policy, limits and records speak of one thing.
//
// Money is integer nano-USD and prices are nano-USD per million tokens: every
// published price is a whole number of them. A Table never changes once made.
package model

// Model is one row. A model that is priced differently under a geo profile has
// a row for the profile's id too.
type Model struct {
	ID        string // as in a request, perhaps with a geo prefix
	Provider  string // "anthropic"
	Family    string // "claude"; the name or an alias of a bedrock.Family
	Price     Price
	Context   int64    // tokens; 0 if not known
	MaxOutput int64    // tokens a call may answer; 0 if not known
	In, Out   []string // modalities: text, image, pdf, video, audio, embedding, …
	Mantle    bool     // served by bedrock-mantle only
	Source    string   // where the price comes from
}

// Price is what a model costs, in nano-USD per million tokens.
type Price struct {
	Input, Output         int64
	CacheRead, CacheWrite int64 // 0: charged as input
	Write1h               int64 // writes kept for an hour; 0: see Cost
	Image                 int64 // nano-USD an image
	Known                 bool  // false: there is no price, and the model must not be used unpriced

	// OutputBurn is how many tokens of Bedrock's own quotas one output token
	// takes; 0 is 1. It is no money: Cost does not know it.
	OutputBurn int64
}

// Ref is a model as a request named it.
type Ref struct {
	Asked   string // as asked, decoded
	ID      string // the base id, without geo prefix
	Geo     string // "us", "global", …; empty for a base id
	Region  string // of an ARN
	Account string // of an ARN
	Kind    string // one of the Kind constants, or an ARN's resource type
	*Model         // the row that prices the call; never nil after success
}
