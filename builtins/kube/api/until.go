package api

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/watch"
)

// Until watches one object, and returns when it is as ok wants it; nil stands for one that is not there. A watch that
// breaks is begun anew.
func (c *Conn) Until(ctx context.Context, r Ref, ok func(*Object) bool) error {
	at, err := c.at(ctx, r)
	if err != nil {
		return err
	}
	only := metav1.ListOptions{FieldSelector: "metadata.name=" + r.Name}
	for {
		var list *unstructured.UnstructuredList
		err := c.again(ctx, func(ctx context.Context) error {
			list, err = at.List(ctx, only)
			return err
		})
		if err != nil {
			return err
		}
		var now *Object
		if len(list.Items) > 0 {
			now = &list.Items[0]
		}
		if ok(now) {
			return nil
		}
		from := only
		from.ResourceVersion = list.GetResourceVersion()
		w, err := at.Watch(ctx, from)
		if err != nil {
			if !passing(err) {
				return err
			}
			if err := c.Clock.Sleep(ctx, firstWait); err != nil {
				return err
			}
			continue
		}
		done := follow(ctx, w, ok)
		w.Stop()
		if done || ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
}

func follow(ctx context.Context, w watch.Interface, ok func(*Object) bool) bool {
	for {
		select {
		case <-ctx.Done():
			return false
		case e, more := <-w.ResultChan():
			if !more || e.Type == watch.Error {
				return false
			}
			o, is := e.Object.(*Object)
			if !is {
				continue
			}
			if e.Type == watch.Deleted {
				o = nil
			}
			if ok(o) {
				return true
			}
		}
	}
}
