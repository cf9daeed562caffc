package oidc

const entraIssuer = "https://login.microsoftonline.com/11111111-2222-3333-4444-555555555555/v2.0"
