package plan

import (
	"context"
	"fmt"
	"reflect"
	"sort"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
)

// place is where an object is.
type place struct {
	kind schema.GroupKind
	key  types.NamespacedName
}

// overlay is the cluster as it would be: what it has, with other objects in place of some. Each
// thing is asked for once, so all that is planned is of one moment.
type overlay struct {
	client.Client

	mutex sync.Mutex
	laid  map[place]client.Object
	gone  map[place]bool
	read  map[string]*reading
}

type reading struct {
	once  sync.Once
	found runtime.Object
	err   error
}

func newOverlay(under client.Client) *overlay {
	return &overlay{
		Client: under, laid: map[place]client.Object{}, gone: map[place]bool{},
		read: map[string]*reading{},
	}
}

// lay puts an object over what the cluster has.
func (o *overlay) lay(object client.Object) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	o.laid[o.placeOf(object)] = object
}

// remove takes an object away from what the cluster has.
func (o *overlay) remove(object client.Object) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	o.gone[o.placeOf(object)] = true
}

func (o *overlay) placeOf(object client.Object) place {
	kind, err := apiutil.GVKForObject(object, o.Scheme())
	if err != nil {
		panic(fmt.Sprintf("a kind that the scheme does not know: %v", err))
	}
	return place{kind.GroupKind(), client.ObjectKeyFromObject(object)}
}

// Get returns what was laid over, else what the cluster has.
func (o *overlay) Get(ctx context.Context, key client.ObjectKey, object client.Object, _ ...client.GetOption) error {
	kind, err := apiutil.GVKForObject(object, o.Scheme())
	if err != nil {
		return err
	}
	where := place{kind.GroupKind(), key}
	o.mutex.Lock()
	laid, gone := o.laid[where], o.gone[where]
	o.mutex.Unlock()
	if laid != nil {
		assign(object, laid)
		return nil
	}
	if gone {
		return apierrors.NewNotFound(schema.GroupResource{Group: kind.Group, Resource: kind.Kind}, key.Name)
	}
	found, err := o.once(fmt.Sprintf("%s %s", kind, key), func() (runtime.Object, error) {
		fresh := reflect.New(reflect.TypeOf(object).Elem()).Interface().(client.Object)
		return fresh, o.Client.Get(ctx, key, fresh)
	})
	if err == nil {
		assign(object, found)
	}
	return err
}

// List returns what the cluster has, with what was laid over it.
func (o *overlay) List(ctx context.Context, list client.ObjectList, options ...client.ListOption) error {
	asked := client.ListOptions{}
	asked.ApplyOptions(options)
	kind, err := apiutil.GVKForObject(list, o.Scheme())
	if err != nil {
		return err
	}
	name := fmt.Sprintf("%s in %q with %v", kind, asked.Namespace, asked.LabelSelector)
	found, err := o.once(name, func() (runtime.Object, error) {
		fresh := reflect.New(reflect.TypeOf(list).Elem()).Interface().(client.ObjectList)
		return fresh, o.Client.List(ctx, fresh, options...)
	})
	// Where the controller is not installed, the cluster does not serve its kinds.
	if err != nil && !apierrors.IsNotFound(err) && !meta.IsNoMatchError(err) {
		return err
	}
	items, err := meta.ExtractList(found)
	if err != nil {
		return err
	}
	kind.Kind = kind.Kind[:len(kind.Kind)-len("List")]
	return meta.SetList(list, o.merge(kind.GroupKind(), items, asked))
}

func (o *overlay) merge(kind schema.GroupKind, items []runtime.Object, asked client.ListOptions) []runtime.Object {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	var merged []runtime.Object
	seen := map[place]bool{}
	for _, item := range items {
		object := item.(client.Object)
		where := place{kind, client.ObjectKeyFromObject(object)}
		seen[where] = true
		if laid := o.laid[where]; laid != nil {
			if fits(laid, asked) {
				merged = append(merged, laid.DeepCopyObject())
			}
		} else if !o.gone[where] {
			merged = append(merged, object.DeepCopyObject())
		}
	}
	var fresh []client.Object
	for where, laid := range o.laid {
		if where.kind == kind && !seen[where] && fits(laid, asked) {
			fresh = append(fresh, laid)
		}
	}
	sort.Slice(fresh, func(i, j int) bool {
		return client.ObjectKeyFromObject(fresh[i]).String() < client.ObjectKeyFromObject(fresh[j]).String()
	})
	for _, object := range fresh {
		merged = append(merged, object.DeepCopyObject())
	}
	return merged
}

func fits(object client.Object, asked client.ListOptions) bool {
	if asked.Namespace != "" && asked.Namespace != object.GetNamespace() {
		return false
	}
	return asked.LabelSelector == nil || asked.LabelSelector.Matches(labels.Set(object.GetLabels()))
}

func (o *overlay) once(name string, ask func() (runtime.Object, error)) (runtime.Object, error) {
	o.mutex.Lock()
	one := o.read[name]
	if one == nil {
		one = &reading{}
		o.read[name] = one
	}
	o.mutex.Unlock()
	one.once.Do(func() { one.found, one.err = ask() })
	return one.found, one.err
}

// assign makes an object a copy of another one of its type.
func assign(object, other runtime.Object) {
	reflect.ValueOf(object).Elem().Set(reflect.ValueOf(other.DeepCopyObject()).Elem())
}
