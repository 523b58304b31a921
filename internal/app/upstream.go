package app

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"

	"gatehouse/internal/account"
	"gatehouse/internal/bedrock/model"
	"gatehouse/internal/call"
	"gatehouse/internal/config"
	"gatehouse/internal/gateway/upstream"
	"gatehouse/internal/sigv4"
	"gatehouse/internal/sim/emulator"
)

// endpoints is where admitted calls go and with which credentials.
type endpoints struct {
	runtime, control *url.URL
	credentials      upstream.Credentials
	name             string // for the ready line
}

// openUpstream resolves the configured upstream. The built-in emulator is served
// on a loopback port of its own until ctx ends, so that it is reached the way
// Bedrock is: over HTTP, with a signature that it verifies.
func openUpstream(ctx context.Context, c *config.Config, models *model.Table) (endpoints, error) {
	switch kind := c.Upstream.Kind; kind {
	case "emulator":
		return startEmulator(ctx, c, models)
	case "bedrock":
		region := c.Upstream.Regions[0]
		e := endpoints{
			runtime: &url.URL{Scheme: "https", Host: "bedrock-runtime." + region + ".amazonaws.com"},
			control: &url.URL{Scheme: "https", Host: "bedrock." + region + ".amazonaws.com"},
			name:    "Bedrock in " + region,
		}
		return withChain(ctx, e, region)
	default:
		u, err := url.Parse(kind)
		if err != nil {
			return endpoints{}, fmt.Errorf("upstream %q: %w", kind, err)
		}
		return withChain(ctx, endpoints{runtime: u, control: u, name: kind}, c.Upstream.Regions[0])
	}
}

func startEmulator(ctx context.Context, c *config.Config, models *model.Table) (endpoints, error) {
	creds := sigv4.Credentials{AccessKeyID: "AKIAGATEHOUSEEMULATR", Secret: sigv4.Secret(call.NewRequestID())}
	em := emulator.New(emulator.Options{
		Region: c.Upstream.Regions[0], Account: c.AccountID, Models: models, Padding: true,
		Credentials: []emulator.Credential{{AccessKeyID: creds.AccessKeyID, Secret: creds.Secret}},
	})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return endpoints{}, fmt.Errorf("emulator: %w", err)
	}
	go emulator.Serve(ctx, ln, em)
	u := &url.URL{Scheme: "http", Host: ln.Addr().String()}
	return endpoints{runtime: u, control: u, credentials: fixed(creds), name: "the built-in emulator"}, nil
}

// fixed credentials never change.
type fixed sigv4.Credentials

func (f fixed) Retrieve(context.Context) (sigv4.Credentials, error) { return sigv4.Credentials(f), nil }

// withChain finds credentials the way every AWS SDK does, and fails at once when
// there are none, rather than at the first call.
func withChain(ctx context.Context, e endpoints, region string) (endpoints, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	conf, err := awsconfig.LoadDefaultConfig(ctx, awsconfig.WithRegion(region))
	if err != nil {
		return e, fmt.Errorf("AWS configuration: %w", err)
	}
	creds, err := conf.Credentials.Retrieve(ctx)
	if strings.HasPrefix(creds.AccessKeyID, account.KeyPrefix) {
		return e, fmt.Errorf("the AWS credentials for upstream %s are a Gatehouse key (%s)\nStart the server in a shell that does not carry the block meant for its callers", e.name, creds.AccessKeyID)
	}
	if err != nil {
		return e, fmt.Errorf("no AWS credentials for upstream %s: %w\nSet AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile or a role, or use --upstream emulator", e.name, err)
	}
	e.credentials = chain{conf.Credentials}
	return e, nil
}

// chain is the SDK's provider, which caches and refreshes.
type chain struct{ aws.CredentialsProvider }

func (c chain) Retrieve(ctx context.Context) (sigv4.Credentials, error) {
	v, err := c.CredentialsProvider.Retrieve(ctx)
	if err != nil {
		return sigv4.Credentials{}, fmt.Errorf("AWS credentials: %w", err)
	}
	return sigv4.Credentials{AccessKeyID: v.AccessKeyID, Secret: sigv4.Secret(v.SecretAccessKey), SessionToken: sigv4.Secret(v.SessionToken)}, nil
}
