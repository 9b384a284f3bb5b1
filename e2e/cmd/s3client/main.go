// Command s3client is a program that uses aws-sdk-go-v2 as its documentation has it: the
// credentials come from a profile of ~/.aws/config. It writes an object and reads it back.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

func main() {
	if err := run(context.Background(), os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, endpoint, bucket string) error {
	c, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return err
	}
	client := s3.NewFromConfig(c, func(o *s3.Options) {
		o.BaseEndpoint, o.UsePathStyle = aws.String(endpoint), true
	})
	const text = "written by aws-sdk-go-v2"
	_, err = client.PutObject(ctx, &s3.PutObjectInput{Bucket: &bucket, Key: aws.String("go.txt"), Body: strings.NewReader(text)})
	if err != nil {
		return err
	}
	object, err := client.GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: aws.String("go.txt")})
	if err != nil {
		return err
	}
	defer func() { _ = object.Body.Close() }()
	got, err := io.ReadAll(object.Body)
	if err == nil && string(got) != text {
		err = fmt.Errorf("it reads %q", got)
	}
	fmt.Println("ok")
	return err
}
