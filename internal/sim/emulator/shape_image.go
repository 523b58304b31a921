package emulator

import "strconv"

// pixel is the picture that every image model makes: a PNG of one black dot.
const pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="

// maxImages bounds the images of one call.
const maxImages = 5

func (c *call) readCount(n node, key string) *wireError {
	v, ok := c.int(n, key)
	if !ok || v < 0 || v > maxImages {
		return errMalformed
	}
	c.ask.count = max(int(v), 1)
	return nil
}

// appendList appends count times what item appends, with commas.
func appendList(dst []byte, count int, item func(dst []byte, i int) []byte) []byte {
	for i := range count {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = item(dst, i)
	}
	return dst
}

func appendPixels(dst []byte, count int) []byte {
	return appendList(dst, count, func(dst []byte, _ int) []byte { return appendString(dst, pixel) })
}

// seedOf is the seed asked for, or one that follows from the prompt.
func (c *call) seedOf(n node) int64 {
	if v, ok := c.doc.Int(n); ok && v > 0 {
		return v
	}
	return int64(uint32(c.rng.Uint64()))
}

// Titan Image Generator and Nova Canvas.
var amazonImage = shape{
	name: "amazon-image",
	read: func(c *call) *wireError {
		task := c.str(0, "taskType")
		if task == "" {
			return missingKey("taskType")
		}
		for _, params := range []string{"textToImageParams", "inPaintingParams", "outPaintingParams", "imageVariationParams", "colorGuidedGenerationParams"} {
			c.addPrompt(c.get(0, params, "text"))
			c.addText(c.get(0, params, "negativeText"))
		}
		if task == "TEXT_IMAGE" && c.str(0, "textToImageParams", "text") == "" {
			return missingKey("textToImageParams")
		}
		return c.readCount(c.get(0, "imageGenerationConfig"), "numberOfImages")
	},
	body: func(c *call, dst []byte) []byte {
		if c.answer.stop == intervened {
			return append(field(dst, `{"images":[],"error":`, c.answer.text), '}')
		}
		dst = appendPixels(append(dst, `{"images":[`...), c.ask.count)
		return append(dst, `],"error":null}`...)
	},
}

// Stable Diffusion XL.
var sdxl = shape{
	name: "sdxl",
	read: func(c *call) *wireError {
		prompts := c.get(0, "text_prompts")
		if !c.isList(prompts) {
			return errMalformed
		}
		c.each(prompts, func(p node) { c.addText(c.get(p, "text")) })
		return c.readCount(0, "samples")
	},
	body: func(c *call, dst []byte) []byte {
		seed := c.seedOf(c.get(0, "seed"))
		reason := "SUCCESS"
		if c.answer.stop == intervened {
			reason = "CONTENT_FILTERED"
		}
		dst = append(dst, `{"result":"success","artifacts":[`...)
		dst = appendList(dst, c.ask.count, func(dst []byte, i int) []byte {
			dst = number(dst, `{"seed":`, seed+int64(i))
			dst = field(dst, `,"base64":`, pixel)
			return append(field(dst, `,"finishReason":`, reason), '}')
		})
		return append(dst, `]}`...)
	},
}

// Stable Diffusion 3 and 3.5, Stable Image and its editing services.
var stability = shape{
	name: "stability",
	read: func(c *call) *wireError {
		if !c.has(0, "prompt") && !c.has(0, "image") && !c.has(0, "init_image") {
			return missingKey("prompt")
		}
		c.addPrompt(c.get(0, "prompt"))
		c.addText(c.get(0, "negative_prompt"))
		return nil
	},
	body: func(c *call, dst []byte) []byte {
		if c.answer.stop == intervened {
			return append(dst, `{"finish_reasons":["Filter reason: prompt"]}`...)
		}
		dst = strconv.AppendInt(append(dst, `{"seeds":[`...), c.seedOf(c.get(0, "seed")), 10)
		return append(appendPixels(append(dst, `],"finish_reasons":[null],"images":[`...), 1), `]}`...)
	},
}
