package emulator

import (
	"maps"
	"net/url"
	"slices"
	"strings"

	"gatehouse/internal/bedrock/model"
)

// The read-only calls of the control plane: what there is to be asked, from the
// table of models.

// when is the time of every profile and model, which have no history here.
const when = "2025-01-01T00:00:00Z"

// foundationModels lists the rows by base id; a model that the table has under
// geo prefixes only is one too.
func (c *call) foundationModels() []*model.Model {
	var list []*model.Model
	for _, m := range c.e.models.All() {
		ref, err := c.e.models.Resolve(m.ID)
		if err != nil || m.Mantle {
			continue
		}
		if ref.Geo == "" {
			list = append(list, m)
			continue
		}
		listed := func(other *model.Model) bool { return other.ID == ref.ID }
		if _, ok := c.e.models.Lookup(ref.ID); !ok && !slices.ContainsFunc(list, listed) {
			base := *m
			base.ID = ref.ID
			list = append(list, &base)
		}
	}
	return list
}

// listModels is ListFoundationModels.
func (c *call) listModels() *wireError {
	q, err := url.ParseQuery(c.rawQuery)
	if err != nil {
		return errBadPath
	}
	models := slices.DeleteFunc(c.foundationModels(), func(m *model.Model) bool { return !c.listed(m, q) })
	c.out = append(c.out[:0], `{"modelSummaries":[`...)
	c.out = appendList(c.out, len(models), func(dst []byte, i int) []byte { return c.appendModel(dst, models[i]) })
	c.out = append(c.out, `]}`...)
	return nil
}

// listed reports whether the filters of a query let a model pass.
func (c *call) listed(m *model.Model, q url.Values) bool {
	is := func(key, value string) bool { return q.Get(key) == "" || strings.EqualFold(q.Get(key), value) }
	return is("byProvider", providerName(m.Provider)) && is("byInferenceType", c.inferenceType(m.ID)) &&
		q.Get("byCustomizationType") == "" &&
		slices.ContainsFunc(m.Out, func(out string) bool { return is("byOutputModality", out) })
}

func (c *call) inferenceType(id string) string {
	if c.e.profileOnly[id] {
		return "INFERENCE_PROFILE"
	}
	return "ON_DEMAND"
}

// getModel is GetFoundationModel, of a base id or its ARN.
func (c *call) getModel() *wireError {
	id := strings.TrimPrefix(c.target.Model, "arn:aws:bedrock:"+c.e.region+"::foundation-model/")
	for _, m := range c.foundationModels() {
		if m.ID == id {
			c.out = append(c.appendModel(append(c.out[:0], `{"modelDetails":`...), m), '}')
			return nil
		}
	}
	return errUnknownModel
}

func (c *call) appendModel(dst []byte, m *model.Model) []byte {
	f := familyOf(m.Family)
	dst = field(dst, `{"modelArn":`, "arn:aws:bedrock:"+c.e.region+"::foundation-model/"+m.ID)
	dst = field(dst, `,"modelId":`, m.ID)
	dst = field(dst, `,"modelName":`, modelName(m))
	dst = field(dst, `,"providerName":`, providerName(m.Provider))
	dst = appendModalities(append(dst, `,"inputModalities":[`...), m.In)
	dst = appendModalities(append(dst, `],"outputModalities":[`...), m.Out)
	dst = append(dst, `],"responseStreamingSupported":`...)
	if f != nil && f.shape.stream != nil {
		dst = append(dst, "true"...)
	} else {
		dst = append(dst, "false"...)
	}
	dst = field(dst, `,"customizationsSupported":[],"inferenceTypesSupported":[`, c.inferenceType(m.ID))
	return append(dst, `],"modelLifecycle":{"status":"ACTIVE"}}`...)
}

func appendModalities(dst []byte, list []string) []byte {
	return appendList(dst, len(list), func(dst []byte, i int) []byte { return appendString(dst, strings.ToUpper(list[i])) })
}

// modelName makes a name for people of an id: "Claude 3 Haiku 20240307".
func modelName(m *model.Model) string {
	_, name, _ := strings.Cut(m.ID, ".")
	if i := strings.LastIndex(name, "-v"); i > 0 {
		name = name[:i]
	}
	return capitals(name)
}

func providerName(provider string) string {
	switch provider {
	case "ai21":
		return "AI21 Labs"
	case "mistral":
		return "Mistral AI"
	case "stability":
		return "Stability AI"
	case "openai":
		return "OpenAI"
	case "deepseek":
		return "DeepSeek"
	}
	return capitals(provider)
}

// capitals makes words of what hyphens part, each with a capital letter.
func capitals(s string) string {
	words := strings.Split(s, "-")
	for i, w := range words {
		if w != "" {
			words[i] = strings.ToUpper(w[:1]) + w[1:]
		}
	}
	return strings.Join(words, " ")
}

// profiles lists the inference profiles: the system's, which are rows with a geo
// prefix, and the account's own, which are ARNs that hide a model.
func (c *call) profiles() []model.Ref {
	var refs []model.Ref
	for _, m := range c.e.models.All() {
		if ref, err := c.e.models.Resolve(m.ID); err == nil && isProfile(ref) {
			refs = append(refs, ref)
		}
	}
	for _, arn := range slices.Sorted(maps.Keys(c.e.models.Profiles)) {
		if ref, err := c.e.models.Resolve(arn); err == nil && isProfile(ref) {
			refs = append(refs, ref)
		}
	}
	return refs
}

// application is the kind of an account's own inference profile.
const application = "application-inference-profile"

func isProfile(ref model.Ref) bool { return ref.Kind == application || ref.Geo != "" }

func profileType(ref model.Ref) string {
	if ref.Kind == application {
		return "APPLICATION"
	}
	return "SYSTEM_DEFINED"
}

// listProfiles is ListInferenceProfiles.
func (c *call) listProfiles() *wireError {
	q, err := url.ParseQuery(c.rawQuery)
	if err != nil {
		return errBadPath
	}
	refs := c.profiles()
	if kind := q.Get("type") + q.Get("typeEquals"); kind != "" {
		refs = slices.DeleteFunc(refs, func(r model.Ref) bool { return profileType(r) != kind })
	}
	c.out = append(c.out[:0], `{"inferenceProfileSummaries":[`...)
	c.out = appendList(c.out, len(refs), func(dst []byte, i int) []byte { return c.appendProfile(dst, refs[i]) })
	c.out = append(c.out, `]}`...)
	return nil
}

// getProfile is GetInferenceProfile.
func (c *call) getProfile() *wireError {
	ref, err := c.e.models.Resolve(c.target.Model)
	if err != nil || !isProfile(ref) {
		return notFound("The provided inference profile identifier is invalid or does not exist.")
	}
	c.out = c.appendProfile(c.out[:0], ref)
	return nil
}

func (c *call) appendProfile(dst []byte, ref model.Ref) []byte {
	name := modelName(&model.Model{ID: ref.ID})
	id, title, arn := "", "Application "+name, ref.Asked
	if ref.Kind == application {
		id = arn[strings.LastIndexByte(arn, '/')+1:]
	} else {
		id = ref.Geo + "." + ref.ID
		title = strings.ToUpper(ref.Geo) + " " + name
		arn = c.e.arn("inference-profile/" + id)
	}
	dst = field(dst, `{"inferenceProfileName":`, title)
	dst = field(dst, `,"description":`, "Routes requests to "+name+".")
	dst = append(dst, `,"createdAt":"`+when+`","updatedAt":"`+when+`"`...)
	dst = field(dst, `,"inferenceProfileArn":`, arn)
	dst = field(dst, `,"models":[{"modelArn":`, "arn:aws:bedrock:"+c.e.region+"::foundation-model/"+ref.ID)
	dst = field(dst, `}],"inferenceProfileId":`, id)
	dst = append(dst, `,"status":"ACTIVE"`...)
	return append(field(dst, `,"type":`, profileType(ref)), '}')
}
