package arrive

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"

	"gatehouse/internal/event"
)

// AWS is how a service is reached.
type AWS struct {
	Config   aws.Config // credentials, region, HTTP client, retries
	Endpoint string     // in place of AWS's; S3 is then asked by path
}

func (a AWS) s3() *s3.Client {
	return s3.NewFromConfig(a.Config, func(o *s3.Options) {
		o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
		if a.Endpoint != "" {
			o.BaseEndpoint, o.UsePathStyle = &a.Endpoint, true
		}
	})
}

// maxObject is how long an object may be, as it is stored.
const maxObject = 2 << 30

// objects fetches objects and hands them over, for the sources that know of some.
type objects struct {
	*meter
	client *s3.Client
	strand event.Strand
	most   int64
	now    func() time.Time
}

// errNotFetched wraps errors about one object that another try may heal.
var errNotFetched = errors.New("not fetched")

// object delivers one object. One that is gone, or is too long, is passed over
// and told. An error that is not errNotFetched is that of deliver.
func (o *objects) object(ctx context.Context, bucket, key string, d Delivery, deliver func(*Delivery) error) error {
	b := &objectBody{ctx: ctx, client: o.client, bucket: bucket, key: key}
	defer b.close()
	err := b.open()
	var api smithy.APIError
	switch {
	case errors.As(err, &api) && (api.ErrorCode() == "NoSuchKey" || api.ErrorCode() == "NotFound"):
		err = errGone
	case err != nil:
		return fmt.Errorf("%w: s3://%s/%s: %w", errNotFetched, bucket, key, err)
	case b.size > o.most:
		err = fmt.Errorf("%d bytes are more than %d", b.size, o.most)
	}
	if err != nil {
		o.problem(fmt.Errorf("s3://%s/%s is passed over: %w", bucket, key, err), o.now())
		if d.Taken != nil {
			d.Taken()
		}
		return nil
	}
	d.Origin, d.How, d.Strand = event.Origin{Name: "s3://" + bucket + "/" + key}, ByS3, o.strand
	d.Received, d.Body = o.now(), b
	return o.hand(&d, deliver)
}

var errGone = errors.New("it is gone")

// objectBody reads an object, and goes on where it was when a connection ends
// early, as those that are read slowly do.
type objectBody struct {
	ctx         context.Context
	client      *s3.Client
	bucket, key string
	etag        *string
	size        int64
	at          int64
	body        io.ReadCloser
	tries       int
}

const maxTries = 5

func (b *objectBody) open() error {
	in := &s3.GetObjectInput{Bucket: &b.bucket, Key: &b.key, IfMatch: b.etag}
	if b.at > 0 {
		in.Range = aws.String(fmt.Sprintf("bytes=%d-", b.at))
	}
	out, err := b.client.GetObject(b.ctx, in)
	if err != nil {
		return err
	}
	if b.body = out.Body; b.etag == nil {
		b.etag, b.size = out.ETag, aws.ToInt64(out.ContentLength)
	}
	return nil
}

func (b *objectBody) Read(p []byte) (int, error) {
	for {
		n, err := b.body.Read(p)
		b.at += int64(n)
		if err == nil || n > 0 || err == io.EOF && b.at >= b.size {
			if err != io.EOF {
				err = nil
			}
			return n, err
		}
		if b.tries++; b.tries > maxTries || b.ctx.Err() != nil {
			return 0, fmt.Errorf("s3://%s/%s: at byte %d: %w", b.bucket, b.key, b.at, cmp.Or(b.ctx.Err(), err))
		}
		b.close()
		if err := b.open(); err != nil {
			return 0, fmt.Errorf("s3://%s/%s: at byte %d: %w", b.bucket, b.key, b.at, err)
		}
	}
}

func (b *objectBody) close() {
	if b.body != nil {
		b.body.Close()
	}
}
