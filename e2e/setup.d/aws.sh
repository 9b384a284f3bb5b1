#!/usr/bin/env bash
# aws-cli, boto3, and moto's server of STS and S3, for the test of the hook aws: a
# Python environment in the cache that e2e/setup.sh uses too.
. "$(dirname "$0")/lib.bash"

python_env aws 'import boto3' awscli==1.46.2 boto3==1.44.5 'moto[iam,s3,sts]==5.2.5' flask==3.1.3 flask-cors==6.0.5
