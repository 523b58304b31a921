package bedrocklimit_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime"
	"github.com/aws/aws-sdk-go-v2/service/bedrockruntime/types"

	"gatehouse/bedrocklimit"
	"gatehouse/internal/sim/emulator"
)

type userKey struct{}

func userOf(ctx context.Context) string {
	user, _ := ctx.Value(userKey{}).(string)
	return user
}

// A program gives each of its users three calls a minute, and all of them
// together ten dollars a day. The server here stands for Bedrock.
func Example() {
	limits, err := bedrocklimit.New(bedrocklimit.Options{
		User: userOf,
		Limits: []bedrocklimit.Limit{
			{Name: "requests", Per: []bedrocklimit.Per{bedrocklimit.PerUser}, Measure: bedrocklimit.Requests, Max: 3, Window: time.Minute},
			{Name: "budget", Per: []bedrocklimit.Per{bedrocklimit.PerProgram}, Measure: bedrocklimit.USD, Max: 10 * bedrocklimit.Dollar, Window: bedrocklimit.Day},
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	bedrock := httptest.NewServer(emulator.New(emulator.Options{Anonymous: true}))
	defer bedrock.Close()
	config := aws.Config{
		Region: "us-east-1", BaseEndpoint: aws.String(bedrock.URL),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "EXAMPLE", SecretAccessKey: "example"}, nil
		}),
	}
	client := bedrockruntime.NewFromConfig(config, limits.Limit)

	for _, user := range []string{"ann", "ann", "ann", "ann", "ben"} {
		ctx := context.WithValue(context.Background(), userKey{}, user)
		_, err := client.Converse(ctx, &bedrockruntime.ConverseInput{
			ModelId:  aws.String("anthropic.claude-3-haiku-20240307-v1:0"),
			Messages: []types.Message{{Role: types.ConversationRoleUser, Content: []types.ContentBlock{&types.ContentBlockMemberText{Value: "Good morning"}}}},
		})
		var throttled *types.ThrottlingException
		switch {
		case errors.As(err, &throttled):
			fmt.Println(user, "has to wait")
		case err != nil:
			fmt.Println(user, err)
		default:
			fmt.Println(user, "was answered")
		}
	}
	// Output:
	// ann was answered
	// ann was answered
	// ann was answered
	// ann has to wait
	// ben was answered
}
