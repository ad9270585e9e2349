package verdict

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// image judges a container whose image is not there. What a registry says decides, not the reason: that is the same
// whether an image does not exist or a cable is out.
func (c container) image(w corev1.ContainerStateWaiting) Verdict {
	name := c.spec.Image
	if name == "" {
		name = c.Image
	}
	switch w.Reason {
	case "InvalidImageName":
		return doomed(ImageInvalid, "has an image whose name is not valid: "+name, "a name is [REGISTRY/]NAME[:TAG][@DIGEST] in small letters")
	case "ErrImageNeverPull":
		return doomed(ImageMissing, "has the image "+name+", which its node does not have and may not pull", "load the image into the nodes, or change imagePullPolicy")
	case "SignatureValidationFailed":
		return doomed(ImageUnauthorised, "has the image "+name+", whose signature is not accepted: "+line(w.Message), "")
	}
	said := w.Message
	for _, e := range c.pod.events {
		if e.Reason == "Failed" && has(e.Message, "pull") && (strings.Contains(e.Message, name) || !strings.Contains(e.Message, `"`)) {
			said += "\n" + e.Message
		}
	}
	switch pullFailure(said) {
	case ImagePlatform:
		return doomed(ImagePlatform, "has the image "+name+", which does not exist for the node's platform", "build the image for the processor of the nodes, or choose nodes by nodeSelector")
	case ImageUnauthorised:
		return doomed(ImageUnauthorised, "has the image "+name+", which the registry does not hand out: "+unauthorised(said), "check the name, and imagePullSecrets of the pod or its service account in namespace "+c.pod.Namespace)
	case ImageMissing:
		return doomed(ImageMissing, "has the image "+name+", which the registry does not have", "check name and tag, and that it was pushed")
	}
	why := "cannot pull the image " + name
	if text := pullText(w.Message); text != "" {
		why += ": " + text
	}
	return suspect(ImagePull, pullBudget, why, "the node does not reach the registry, or the registry is not well; it is tried again")
}

// pullFailure says what registries and runtimes mean. What passes comes first: a proxy that is down says 403 as well.
func pullFailure(said string) Cause {
	switch {
	case has(said, "no match for platform", "does not match the specified platform", "no matching manifest", "no image found in image index"):
		return ImagePlatform
	case has(said, "i/o timeout", "connection refused", "connection reset", "no such host", "temporary failure", "server misbehaving", "tls handshake",
		"context deadline exceeded", "context canceled", "network is unreachable", "no route to host", "unexpected eof", ": eof", "toomanyrequests", "too many requests", "429",
		"500 internal", "502 bad", "503 service", "504 gateway", "x509", "pull qps exceeded", "no space left"):
		return ImagePull
	case has(said, "unauthorized", "authentication required", "401", "403", "forbidden", "denied", "insufficient_scope", "authorization failed", "no basic auth credentials"):
		return ImageUnauthorised
	case has(said, "not found", "manifest unknown", "name unknown", "does not exist", "notfound"):
		return ImageMissing
	}
	return ImagePull
}

func unauthorised(said string) string {
	switch {
	case has(said, "does not exist or may require", "repository does not exist"):
		return "it does not exist, or needs credentials"
	case has(said, "403", "forbidden", "denied"):
		return "access is denied"
	}
	return "it wants credentials"
}

// pullText is what a message says beyond the name of the image.
func pullText(message string) string {
	if i := strings.LastIndex(message, "failed to do request: "); i >= 0 {
		message = message[i+len("failed to do request: "):]
	}
	if i := strings.Index(message, "ErrImagePull: "); i >= 0 {
		message = message[i+len("ErrImagePull: "):]
	}
	if strings.HasPrefix(message, "Back-off pulling image") {
		return ""
	}
	return line(message)
}
