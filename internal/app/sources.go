package app

import (
	"context"
	"fmt"
	"strings"

	awsconfig "github.com/aws/aws-sdk-go-v2/config"

	"gatehouse/internal/config"
	"gatehouse/internal/event"
	"gatehouse/internal/telemetry/arrive"
)

// newSources makes the sources of the configuration. AWS's are asked with the
// ordinary credential chain.
func newSources(ctx context.Context, c *config.Config) ([]arrive.Source, error) {
	var sources []arrive.Source
	for _, t := range c.Telemetry.Sources {
		source, err := newSource(ctx, c, t)
		if err != nil {
			return nil, fmt.Errorf("telemetry source %s: %w", t.Name, err)
		}
		sources = append(sources, source)
	}
	return sources, nil
}

func newSource(ctx context.Context, c *config.Config, t config.TelemetrySource) (arrive.Source, error) {
	strand := event.Strand(t.Strand)
	if t.Path != "" {
		return arrive.NewFiles(arrive.FilesOptions{Name: t.Name, Paths: []string{t.Path}, Strand: strand, Watch: true}), nil
	}
	region := t.Region
	if region == "" {
		region = c.Region
	}
	at, err := awsAt(ctx, region, t.Endpoint)
	if err != nil {
		return nil, err
	}
	switch {
	case t.S3 != "":
		bucket, prefix, _ := strings.Cut(strings.TrimPrefix(t.S3, "s3://"), "/")
		return arrive.NewBucket(arrive.BucketOptions{Name: t.Name, AWS: at, Bucket: bucket, Prefix: prefix, Strand: strand, Follow: true}), nil
	case t.Queue != "":
		return arrive.NewQueue(arrive.QueueOptions{Name: t.Name, AWS: at, URL: t.Queue, Strand: strand}), nil
	}
	return arrive.NewGroup(arrive.GroupOptions{Name: t.Name, AWS: at, Group: t.LogGroup, Strand: strand, Follow: true}), nil
}

// awsAt is how AWS is asked in a region. Nothing is asked yet.
func awsAt(ctx context.Context, region, endpoint string) (arrive.AWS, error) {
	found, err := awsconfig.LoadDefaultConfig(ctx, awsconfig.WithRegion(region))
	if err != nil {
		return arrive.AWS{}, fmt.Errorf("AWS configuration: %w", err)
	}
	return arrive.AWS{Config: found, Endpoint: endpoint}, nil
}
