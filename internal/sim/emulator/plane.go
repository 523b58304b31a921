package emulator

import (
	"net/url"
	"slices"
	"strings"

	"gatehouse/internal/bedrock/model"
)

// The read-only calls of the control plane: what there is to be asked, from the
// table of models.

// when is the time of every profile and model, which have no history here.
const when = "2025-01-01T00:00:00Z"

// listModels is ListFoundationModels.
func (c *call) listModels() *wireError {
	q, err := url.ParseQuery(c.rawQuery)
	if err != nil {
		return errBadPath
	}
	c.out = append(c.out[:0], `{"modelSummaries":[`...)
	first := true
	for _, m := range c.e.models.All() {
		if !c.listed(m, q) {
			continue
		}
		if !first {
			c.out = append(c.out, ',')
		}
		first = false
		c.out = c.appendModel(c.out, m)
	}
	c.out = append(c.out, `]}`...)
	return nil
}

// listed reports whether a row is a foundation model that the filters let pass.
func (c *call) listed(m *model.Model, q url.Values) bool {
	is := func(key, value string) bool { return q.Get(key) == "" || strings.EqualFold(q.Get(key), value) }
	ref, err := c.e.models.Resolve(m.ID)
	return err == nil && ref.Geo == "" && !m.Mantle &&
		is("byProvider", providerName(m.Provider)) && is("byInferenceType", c.inferenceType(m.ID)) &&
		q.Get("byCustomizationType") == "" &&
		(q.Get("byOutputModality") == "" || slices.ContainsFunc(m.Out, func(out string) bool { return is("byOutputModality", out) }))
}

func (c *call) inferenceType(id string) string {
	if c.e.profileOnly[id] {
		return "INFERENCE_PROFILE"
	}
	return "ON_DEMAND"
}

// getModel is GetFoundationModel.
func (c *call) getModel() *wireError {
	id := c.target.Model
	if ref, err := c.e.models.Resolve(id); err == nil && ref.Kind == model.KindFoundationModel {
		id = ref.ID
	}
	m, ok := c.e.models.Lookup(id)
	if !ok || m.Mantle {
		return errUnknownModel
	}
	if ref, err := c.e.models.Resolve(id); err != nil || ref.Geo != "" {
		return errUnknownModel
	}
	c.out = append(c.appendModel(append(c.out[:0], `{"modelDetails":`...), m), '}')
	return nil
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

// listProfiles is ListInferenceProfiles. All profiles are the system's.
func (c *call) listProfiles() *wireError {
	q, err := url.ParseQuery(c.rawQuery)
	if err != nil {
		return errBadPath
	}
	c.out = append(c.out[:0], `{"inferenceProfileSummaries":[`...)
	kind := q.Get("type") + q.Get("typeEquals")
	first := true
	for _, m := range c.e.models.All() {
		ref, err := c.e.models.Resolve(m.ID)
		if err != nil || ref.Geo == "" || kind != "" && kind != "SYSTEM_DEFINED" {
			continue
		}
		if !first {
			c.out = append(c.out, ',')
		}
		first = false
		c.out = c.appendProfile(c.out, ref)
	}
	c.out = append(c.out, `]}`...)
	return nil
}

// getProfile is GetInferenceProfile.
func (c *call) getProfile() *wireError {
	ref, err := c.e.models.Resolve(c.target.Model)
	if err != nil || ref.Geo == "" {
		return notFound("The provided inference profile identifier is invalid or does not exist.")
	}
	c.out = c.appendProfile(c.out[:0], ref)
	return nil
}

func (c *call) appendProfile(dst []byte, ref model.Ref) []byte {
	id := ref.Geo + "." + ref.ID
	name := strings.ToUpper(ref.Geo) + " " + modelName(&model.Model{ID: ref.ID})
	dst = field(dst, `{"inferenceProfileName":`, name)
	dst = field(dst, `,"description":`, "Routes requests to "+modelName(&model.Model{ID: ref.ID})+" in "+ref.Geo+" regions.")
	dst = append(dst, `,"createdAt":"`+when+`","updatedAt":"`+when+`"`...)
	dst = field(dst, `,"inferenceProfileArn":`, c.e.arn("inference-profile/"+id))
	dst = field(dst, `,"models":[{"modelArn":`, "arn:aws:bedrock:"+c.e.region+"::foundation-model/"+ref.ID)
	dst = field(dst, `}],"inferenceProfileId":`, id)
	return append(dst, `,"status":"ACTIVE","type":"SYSTEM_DEFINED"}`...)
}
