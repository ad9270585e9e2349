%% @doc Names for processes, any term to one pid, usable as {via, erlmcp_registry, Name}. A name goes with its process,
%% at once: who starts it again need not wait until the registry has heard of its end.
-module(erlmcp_registry).
-behaviour(gen_server).

-export([start_link/0, register_name/2, unregister_name/1, whereis_name/1, send/2, names/0]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).

start_link() ->
    gen_server:start_link({local, ?MODULE}, ?MODULE, [], []).

register_name(Name, Pid) when is_pid(Pid) ->
    gen_server:call(?MODULE, {register, Name, Pid}).

unregister_name(Name) ->
    gen_server:call(?MODULE, {unregister, Name}).

whereis_name(Name) ->
    case ets:lookup(?MODULE, Name) of
        [{Name, Pid, _}] ->
            case is_process_alive(Pid) of
                true -> Pid;
                false -> undefined
            end;
        [] ->
            undefined
    end.

send(Name, Message) ->
    case whereis_name(Name) of
        undefined -> exit({badarg, {Name, Message}});
        Pid -> Pid ! Message, Pid
    end.

names() ->
    [Name || {Name, _, _} <- ets:tab2list(?MODULE)].

init([]) ->
    ets:new(?MODULE, [named_table, protected, {read_concurrency, true}]),
    {ok, #{}}.

handle_call({register, Name, Pid}, _From, Refs) ->
    case whereis_name(Name) of
        undefined ->
            Ref = erlang:monitor(process, Pid),
            Rest = forget(Name, Refs),
            ets:insert(?MODULE, {Name, Pid, Ref}),
            {reply, yes, Rest#{Ref => Name}};
        _ ->
            {reply, no, Refs}
    end;
handle_call({unregister, Name}, _From, Refs) ->
    {reply, ok, forget(Name, Refs)}.

forget(Name, Refs) ->
    case ets:take(?MODULE, Name) of
        [{Name, _, Ref}] ->
            erlang:demonitor(Ref, [flush]),
            maps:remove(Ref, Refs);
        [] ->
            Refs
    end.

handle_cast(_, Refs) ->
    {noreply, Refs}.

handle_info({'DOWN', Ref, process, _, _}, Refs) ->
    case maps:take(Ref, Refs) of
        {Name, Rest} -> ets:delete(?MODULE, Name), {noreply, Rest};
        error -> {noreply, Refs}
    end;
handle_info(_, Refs) ->
    {noreply, Refs}.
